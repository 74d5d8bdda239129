// The settings in force and where each came from.
#include <fmt/format.h>

#include <algorithm>

#include "config/json.h"
#include "config/librdkafka.h"
#include "config/reference.h"
#include "config/text.h"
#include "config/value.h"

namespace postlane::config {
namespace {

std::string_view origin_word(Origin origin) {
    switch (origin) {
        case Origin::Default:
            return "default";
        case Origin::File:
            return "file";
        case Origin::Environment:
            return "environment";
        case Origin::Flag:
            return "flag";
    }
    return {};
}

std::string where(const Effective& item) {
    if (item.origin == Origin::Default) {
        return {};
    }
    return item.place.line == 0 ? item.place.file
                                : fmt::format("{}:{}", item.place.file, item.place.line);
}

// Nothing, if the value can be shown as it is.
std::optional<std::string> redacted(const Effective& item) {
    constexpr std::string_view kRedacted = "[redacted]";
    const auto* text = std::get_if<std::string>(&item.value);
    if (item.secret) {
        return std::string(kRedacted);
    }
    if (text != nullptr && item.key.ends_with("_file") && !looks_like_path(*text)) {
        return std::string(kRedacted);
    }
    // Queries of URLs are where services without headers take their keys.
    if (text != nullptr && item.key.ends_with(".base_url") &&
        text->find('?') != std::string::npos) {
        return text->substr(0, text->find('?') + 1) + std::string(kRedacted);
    }
    return std::nullopt;
}

// librdkafka's names have dots of their own, so they are quoted as in the file.
std::string shown_key(const std::string& key) {
    for (const std::string_view prefix : {kPropertiesPrefix, kFilesPrefix}) {
        if (key.starts_with(prefix)) {
            return std::string(prefix) + toml_string(key.substr(prefix.size()));
        }
    }
    return key;
}

std::string show_json(const std::vector<Effective>& values) {
    JsonObject all;
    for (const Effective& item : values) {
        const std::optional<std::string> hidden = redacted(item);
        JsonObject entry;
        entry.add("value", hidden ? json_string(*hidden) : to_json(item.value));
        if (hidden) {
            entry.add("redacted", "true");
        }
        entry.add("origin", json_string(origin_word(item.origin)));
        if (item.origin != Origin::Default) {
            entry.add("where", json_string(where(item)));
        }
        all.add(item.key, entry.text());
    }
    return json_indented(all.text());
}

}  // namespace

std::string show(const Loaded& loaded, bool json) {
    if (json) {
        return show_json(loaded.values);
    }
    constexpr std::size_t kOriginColumn = 60;
    std::string out;
    for (const Effective& item : loaded.values) {
        const std::optional<std::string> hidden = redacted(item);
        const std::string line =
            fmt::format("{} = {}", shown_key(item.key), hidden ? *hidden : to_toml(item.value));
        const std::string from = where(item);
        out += fmt::format("{:<{}}  # {}{}{}\n", line, kOriginColumn, origin_word(item.origin),
                           from.empty() ? "" : " ", from);
    }
    return out;
}

}  // namespace postlane::config
