// [kafka.librdkafka] and [kafka.librdkafka_files]: librdkafka's own properties, passed on as they
// are, less those that postlane's guarantees depend on.
#pragma once

#include <toml++/toml.h>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/draft.h"
#include "config/overrides.h"

namespace postlane::config {

inline constexpr std::string_view kPropertiesPrefix = "kafka.librdkafka.";
inline constexpr std::string_view kFilesPrefix = "kafka.librdkafka_files.";

struct OwnedProperty {
    std::string_view name;
    std::string_view reason;   // completes "is set by postlane: …"
    std::string_view instead;  // the hint
};
std::span<const OwnedProperty> owned_properties();

// Reads both tables of [kafka] and the overrides for them into draft.config.kafka. The values of
// librdkafka_files are still paths afterwards; files.h replaces them.
void read_librdkafka(const toml::table* kafka, const std::map<std::string, Override>& overrides,
                     Draft& draft);

// Asks librdkafka about every property that stands in the configuration itself.
void check_properties(Draft& draft,
                      const std::function<std::optional<std::string>(
                          const std::string& name, const std::string& value)>& refuse);

// Asks librdkafka about all of them, their files read.
void check_properties_together(
    Draft& draft, const std::function<std::optional<std::string>(const Config&)>& refuse);

}  // namespace postlane::config
