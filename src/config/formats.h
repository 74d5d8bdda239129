// The forms that texts in the configuration can have.
#pragma once

#include "config/setting.h"
#include "config/text.h"

namespace postlane::config::formats {

inline constexpr Format kName{
    .expects =
        "a name of 1 to 64 letters, digits, '.', '_' or '-' that begins with a letter or digit",
    .pattern = "^\\s*[A-Za-z0-9][A-Za-z0-9._-]{0,63}\\s*$",
    .normalise = normal_name,
};
inline constexpr Format kTopic{
    .expects = "a topic name: 1 to 249 letters, digits, '.', '_' or '-'",
    .pattern = "^[A-Za-z0-9._-]{1,249}$",
    .normalise = normal_topic,
};
// Kafka's rule for group.instance.id is the one for topics.
inline constexpr Format kInstance{
    .expects = "1 to 249 letters, digits, '.', '_' or '-'",
    .pattern = "^[A-Za-z0-9._-]{1,249}$",
    .normalise = normal_topic,
};
inline constexpr Format kServer{
    .expects = "host:port with a port from 1 to 65535",
    .pattern = "^.+:[0-9]{1,5}$",
    .normalise = normal_server,
};
inline constexpr Format kListen{
    .expects =
        "address:port, the address an IP address ([…] around IPv6) or localhost, "
        "the port from 1 to 65535",
    .pattern = "^.+:[0-9]{1,5}$",
    .normalise = normal_listen,
};
inline constexpr Format kUrl{
    .expects = "an http:// or https:// URL without user, password and fragment",
    .pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^@#\\s]+$",
    .normalise = normal_url,
};
inline constexpr Format kHeader{
    .expects = "the name of an HTTP header",
    .pattern = "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$",
    .normalise = normal_header,
};
inline constexpr Format kFilled{
    .expects = "a text that is not blank and has no control characters",
    .pattern = "\\S",
    .normalise = normal_filled,
};

}  // namespace postlane::config::formats
