// What librdkafka has to say while a command runs.
#pragma once

#include "adapters/kafka/client.h"

namespace postlane::cli {

// Warnings and worse on stderr: a command talks to a person, who has no log.
[[nodiscard]] kafka::LogSink kafka_messages();

}  // namespace postlane::cli
