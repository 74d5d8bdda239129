// Whether two inputs with one message ID ask for the same email.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>

#include "postlane/event.h"

namespace postlane {

// Over to, from, reply_to, template, content, headers, unsubscribe_url, category and sequence, as
// decoded: key order, white space, escapes, an explicit null or default, and how a number is
// written make no difference. `template_data` is the event's template.data. `scratch` is memory to
// work in. The result is stored in ledgers: changing it turns every redelivery into a
// payload_conflict.
[[nodiscard]] Hash128 body_hash(const SendEvent& event,
                                const std::optional<simdjson::dom::element>& template_data,
                                std::string& scratch);

}  // namespace postlane
