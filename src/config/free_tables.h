// The two tables of [kafka] whose keys are librdkafka's, as the annotated files, the schema and
// the reference page show them.
#pragma once

#include <array>
#include <string_view>

namespace postlane::config {

struct FreeTable {
    std::string_view key;  // within [kafka]
    std::string_view help;
    std::string_view example;  // lines of TOML
};

inline constexpr std::array kFreeTables{
    FreeTable{
        .key = "librdkafka",
        .help = "Properties of librdkafka, passed on as they are to every connection. Quote the "
                "names. Properties that postlane sets itself are refused.",
        .example = "\"security.protocol\" = \"SASL_SSL\"\n"
                   "\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n"
                   "\"sasl.username\" = \"postlane\"\n"
                   "\"ssl.ca.location\" = \"/etc/ssl/certs/ca-certificates.crt\"\n",
    },
    FreeTable{
        .key = "librdkafka_files",
        .help = "The same for secrets: the value is the path of a file whose trimmed content is "
                "the property's value. It is never printed.",
        .example = "\"sasl.password\" = \"/run/secrets/kafka-password\"\n",
    },
};

}  // namespace postlane::config
