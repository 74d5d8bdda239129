#include "config/librdkafka.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/text.h"
#include "config/value.h"

namespace postlane::config {
namespace {

constexpr std::string_view kOffsets = "the ledger holds the offsets, not the group";
constexpr std::string_view kExactlyOnce = "the ledger's transactions depend on it";
constexpr std::string_view kPerConsumer = "its consumers need different values";
constexpr std::string_view kCallback = "it takes a pointer, which no file can give";
constexpr std::string_view kRemove = "remove the line";

constexpr std::array kOwned{
    OwnedProperty{"bootstrap.servers", "it is a setting of its own", "use kafka.bootstrap_servers"},
    OwnedProperty{"metadata.broker.list", "it is a setting of its own",
                  "use kafka.bootstrap_servers"},
    OwnedProperty{"group.id", "it is a setting of its own", "use kafka.group_id"},
    OwnedProperty{"group.instance.id", "it is a setting of its own", "use kafka.group_instance_id"},
    OwnedProperty{"partitioner", "it is a setting of its own", "use kafka.partitioner"},
    OwnedProperty{"auto.offset.reset", kOffsets, "use kafka.initial_offset for the first start"},
    OwnedProperty{"enable.auto.commit", kOffsets, kRemove},
    OwnedProperty{"auto.commit.enable", kOffsets, kRemove},
    OwnedProperty{"auto.commit.interval.ms", kOffsets, kRemove},
    OwnedProperty{"enable.auto.offset.store", kOffsets, kRemove},
    OwnedProperty{"offset.store.method", kOffsets, kRemove},
    OwnedProperty{"offset.store.path", kOffsets, kRemove},
    OwnedProperty{"offset.store.sync.interval.ms", kOffsets, kRemove},
    OwnedProperty{"enable.partition.eof", "the proof of freshness depends on it", kRemove},
    OwnedProperty{"isolation.level", kPerConsumer, kRemove},
    OwnedProperty{"fetch.wait.max.ms", kPerConsumer, kRemove},
    OwnedProperty{"transactional.id", "it fences an owner of a partition that lost it",
                  "it follows from topics.ledger and the partition"},
    OwnedProperty{"transaction.timeout.ms", kExactlyOnce, kRemove},
    OwnedProperty{"enable.idempotence", kExactlyOnce, kRemove},
    OwnedProperty{"enable.gapless.guarantee", kExactlyOnce, kRemove},
    OwnedProperty{"acks", kExactlyOnce, kRemove},
    OwnedProperty{"request.required.acks", kExactlyOnce, kRemove},
    OwnedProperty{"max.in.flight", kExactlyOnce, kRemove},
    OwnedProperty{"max.in.flight.requests.per.connection", kExactlyOnce, kRemove},
    OwnedProperty{"retries", kExactlyOnce, kRemove},
    OwnedProperty{"message.send.max.retries", kExactlyOnce, kRemove},
    OwnedProperty{"message.timeout.ms", kExactlyOnce, kRemove},
    OwnedProperty{"delivery.timeout.ms", kExactlyOnce, kRemove},
    OwnedProperty{"delivery.report.only.error", kExactlyOnce, kRemove},
    OwnedProperty{"allow.auto.create.topics", "topics must have the right partitions and settings",
                  "run `postlane topics create`"},
    OwnedProperty{"group.protocol", "it handles assignments of the classic protocol", kRemove},
    OwnedProperty{"group.remote.assignor", "it handles assignments of the classic protocol",
                  "use \"partition.assignment.strategy\""},
    OwnedProperty{"group.protocol.type", "it handles assignments of the classic protocol", kRemove},
    OwnedProperty{"enabled_events", "it reads librdkafka's events itself", kRemove},
    OwnedProperty{"log.queue", "it reads librdkafka's events itself", kRemove},
    OwnedProperty{"opaque", kCallback, kRemove},
    OwnedProperty{"interceptors", kCallback, kRemove},
    OwnedProperty{"default_topic_conf", kCallback, "write the topic property by its own name"},
    OwnedProperty{"msg_order_cmp", kCallback, kRemove},
    OwnedProperty{"ssl_key", kCallback, "use \"ssl.key.location\" or \"ssl.key.pem\""},
    OwnedProperty{"ssl_certificate", kCallback,
                  "use \"ssl.certificate.location\" or \"ssl.certificate.pem\""},
    OwnedProperty{"ssl_ca", kCallback, "use \"ssl.ca.location\" or \"ssl.ca.pem\""},
    OwnedProperty{"ssl_engine_callback_data", kCallback, kRemove},
};

class PropertyReader {
public:
    explicit PropertyReader(Draft& draft) : draft_(draft) {}

    void read_table(const toml::table& kafka, std::string_view name, std::string_view prefix) {
        const toml::node* node = kafka.get(name);
        if (node == nullptr) {
            return;
        }
        const toml::table* table = node->as_table();
        if (table == nullptr) {
            report().error(Code::NotATable, place_of(node->source(), report().file()),
                           prefix.substr(0, prefix.size() - 1), "expected a table of properties",
                           fmt::format("begin it with [{}]", prefix.substr(0, prefix.size() - 1)),
                           false);
            return;
        }
        for (const auto& [key, value] : *table) {
            read_property(std::string(prefix), std::string(key.str()), key.source(), value);
        }
    }

    // A name in force at most once over both tables: the later origin wins within one table.
    void add(std::string_view prefix, const std::string& name, std::string text, Origin origin,
             const Place& place) {
        const std::string key = std::string(prefix) + name;
        if (const auto* owned = find_owned(name)) {
            report().error(Code::OwnedProperty, place, key,
                           fmt::format("is set by postlane: {}", owned->reason),
                           std::string(owned->instead));
            draft_.reject(key);
            return;
        }
        if (name.ends_with("_cb")) {
            report().error(Code::OwnedProperty, place, key,
                           fmt::format("is set by postlane: {}", kCallback), std::string(kRemove));
            draft_.reject(key);
            return;
        }
        const bool from_file = prefix == kFilesPrefix;
        const bool secret = from_file || names_secret(name);
        draft_.places[key] = place;
        if (Effective* old = draft_.find(key)) {
            *old = Effective{key, std::move(text), origin, place, secret};
            return;
        }
        draft_.values.push_back(Effective{key, std::move(text), origin, place, secret});
    }

    void finish() {
        Kafka& kafka = draft_.config.kafka;
        for (const Effective& item : draft_.values) {
            const bool from_file = item.key.starts_with(kFilesPrefix);
            if (!from_file && !item.key.starts_with(kPropertiesPrefix)) {
                continue;
            }
            const std::string name =
                item.key.substr(from_file ? kFilesPrefix.size() : kPropertiesPrefix.size());
            if (!kafka.librdkafka.emplace(name, std::get<std::string>(item.value)).second) {
                report().error(Code::Duplicate, item.place, item.key,
                               "the property is given both as a value and as a file",
                               "remove it from [kafka.librdkafka]", false);
                draft_.reject(item.key);
            }
            if (item.secret) {
                kafka.librdkafka_secrets.insert(name);
            }
            if (item.secret && !from_file && item.origin == Origin::File) {
                report().warning(Code::SecretInline, item.place, item.key,
                                 "a secret stands in the configuration",
                                 fmt::format("put it into a file of its own and name that in "
                                             "[kafka.librdkafka_files]: \"{}\" = \"PATH\"",
                                             name));
            }
        }
    }

private:
    Report& report() { return draft_.report; }

    static const OwnedProperty* find_owned(std::string_view name) {
        const auto* const found =
            std::find_if(kOwned.begin(), kOwned.end(),
                         [&](const OwnedProperty& item) { return item.name == name; });
        return found == kOwned.end() ? nullptr : found;
    }

    // librdkafka takes texts only; a number or a truth has just one that can be meant.
    static std::optional<std::string> property_text(const toml::node& value) {
        if (const auto* text = value.as_string()) {
            return text->get();
        }
        if (const auto* number = value.as_integer()) {
            return std::to_string(number->get());
        }
        if (const auto* truth = value.as_boolean()) {
            return truth->get() ? "true" : "false";
        }
        return std::nullopt;
    }

    void read_property(const std::string& prefix, const std::string& name,
                       const toml::source_region& key_region, const toml::node& value) {
        const std::string& file = report().file();
        const std::string key = prefix + name;
        if (const toml::table* nested = value.as_table()) {
            unquoted(prefix, name, *nested, place_of(key_region, file));
            return;
        }
        if (prefix == kFilesPrefix && !value.is_string()) {
            report().error(Code::WrongType, place_of(value.source(), file), key, "expected string",
                           "give the path of the file in quotes");
            draft_.reject(key);
            return;
        }
        const std::optional<std::string> text = property_text(value);
        if (!text) {
            report().error(Code::WrongType, place_of(value.source(), file), key,
                           "expected string, integer or boolean",
                           "librdkafka takes texts: put the value into quotes");
            draft_.reject(key);
            return;
        }
        add(prefix, name, *text, Origin::File, place_of(key_region, file));
    }

    // TOML reads security.protocol = "…" as a table "security".
    void unquoted(const std::string& prefix, const std::string& path, const toml::table& table,
                  const Place& place) {
        if (table.empty()) {
            report().error(Code::WrongType, place, prefix + path, "expected string, got table",
                           "librdkafka takes texts");
        }
        for (const auto& [name, value] : table) {
            const std::string longer = fmt::format("{}.{}", path, name.str());
            if (const toml::table* deeper = value.as_table()) {
                unquoted(prefix, longer, *deeper, place_of(name.source(), report().file()));
                continue;
            }
            Place at = place;
            if (name.source().begin.line != place.line) {
                at = place_of(name.source(), report().file());
            }
            report().error(Code::UnquotedProperty, at, prefix + longer,
                           "names of librdkafka's properties need quotes, because TOML takes a "
                           "dot for the border of a table",
                           fmt::format("write \"{}\" = …", longer));
            draft_.reject(prefix + longer);
        }
    }

    Draft& draft_;
};

// Empty if the key belongs to no property.
std::string_view property_of(std::string_view key) {
    for (const std::string_view prefix : {kPropertiesPrefix, kFilesPrefix}) {
        if (key.starts_with(prefix)) {
            return key.substr(prefix.size());
        }
    }
    return {};
}

// The given property that librdkafka's complaint is about: the longest name in it, as some begin like others.
const Effective* named_in(std::string_view complaint, const Draft& draft) {
    const Effective* named = nullptr;
    for (const Effective& item : draft.values) {
        const std::string_view name = property_of(item.key);
        const std::size_t longest = named == nullptr ? 0 : property_of(named->key).size();
        if (name.size() > longest && complaint.find(name) != std::string_view::npos) {
            named = &item;
        }
    }
    return named;
}

}  // namespace

std::span<const OwnedProperty> owned_properties() {
    return kOwned;
}

void read_librdkafka(const toml::table* kafka, const std::map<std::string, Override>& overrides,
                     Draft& draft) {
    PropertyReader reader(draft);
    if (kafka != nullptr) {
        reader.read_table(*kafka, "librdkafka", kPropertiesPrefix);
        reader.read_table(*kafka, "librdkafka_files", kFilesPrefix);
    }
    for (const auto& [key, given] : overrides) {
        for (const std::string_view prefix : {kPropertiesPrefix, kFilesPrefix}) {
            if (key.starts_with(prefix)) {
                reader.add(prefix, key.substr(prefix.size()), given.text, given.origin,
                           given.place);
            }
        }
    }
    reader.finish();
}

void check_properties(Draft& draft,
                      const std::function<std::optional<std::string>(
                          const std::string& name, const std::string& value)>& refuse) {
    for (const Effective& item : draft.values) {
        const bool from_file = item.key.starts_with(kFilesPrefix);
        if (!from_file && !item.key.starts_with(kPropertiesPrefix)) {
            continue;
        }
        const std::string name =
            item.key.substr(from_file ? kFilesPrefix.size() : kPropertiesPrefix.size());
        const auto why = refuse(name, std::get<std::string>(item.value));
        // Of a file only its path is known yet, so only the name can be wrong.
        if (why && (!from_file || why->starts_with("No such"))) {
            draft.report.error(Code::RefusedProperty, item.place, item.key,
                               item.secret && !from_file ? "librdkafka refuses the value" : *why,
                               "see librdkafka's CONFIGURATION.md for its names and values",
                               !item.secret);
        }
    }
}

void check_properties_together(
    Draft& draft, const std::function<std::optional<std::string>(const Config&)>& refuse) {
    const auto why = refuse(draft.config);
    if (!why) {
        return;
    }
    const Effective* const named = named_in(*why, draft);
    const std::string key = named == nullptr ? "kafka.librdkafka" : named->key;
    draft.report.error(Code::RefusedTogether, draft.place_of(key), key, *why,
                       key.ends_with(".location")
                           ? "give the path of a file that can be read and holds what is needed"
                           : "see librdkafka's CONFIGURATION.md for what belongs together",
                       named != nullptr && !named->secret);
}

}  // namespace postlane::config
