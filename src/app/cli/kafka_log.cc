#include "app/cli/kafka_log.h"

#include <string>

#include "app/cli/console.h"

namespace postlane::cli {

kafka::LogSink kafka_messages() {
    return [](int level, std::string_view text) {
        constexpr int kWarning = 4;  // syslog's
        if (level <= kWarning) {
            fmt::print(stderr, "kafka: {}\n", printable(text));
        }
    };
}

}  // namespace postlane::cli
