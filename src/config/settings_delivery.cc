#include "config/settings_delivery.h"

#include <algorithm>
#include <array>

#include "config/formats.h"

namespace postlane::config {
namespace {

constexpr std::int64_t kMinuteMs = 60'000;
constexpr std::int64_t kDayMs = 24 * 60 * kMinuteMs;

constexpr std::array kKinds{
    Word{.text = "http",
         .value = int(ProviderKind::Http),
         .help = "POST of the send event as JSON to base_url"},
    Word{.text = "sendgrid", .value = int(ProviderKind::SendGrid), .help = "SendGrid v3"},
    Word{.text = "resend", .value = int(ProviderKind::Resend), .help = "Resend"},
    Word{.text = "ses", .value = int(ProviderKind::Ses), .supported = false},
    Word{.text = "mailgun", .value = int(ProviderKind::Mailgun), .supported = false},
    Word{.text = "postmark", .value = int(ProviderKind::Postmark), .supported = false},
    Word{.text = "sparkpost", .value = int(ProviderKind::SparkPost), .supported = false},
    Word{.text = "brevo", .value = int(ProviderKind::Brevo), .supported = false},
    Word{.text = "mailersend", .value = int(ProviderKind::MailerSend), .supported = false},
    Word{.text = "smtp", .value = int(ProviderKind::Smtp), .supported = false},
};
constexpr std::array kIdempotency{
    Word{.text = "none",
         .value = int(Idempotency::None),
         .help = "a lost answer leaves the message in doubt"},
    Word{.text = "header",
         .value = int(Idempotency::Header),
         .help = "the endpoint executes a key once, so a lost answer is asked for again"},
};
constexpr std::array kTls{
    Word{.text = "required", .value = int(Tls::Required)},
    Word{.text = "opportunistic", .value = int(Tls::Opportunistic)},
    Word{.text = "none", .value = int(Tls::None)},
};

constexpr std::array kProviders{
    Setting{.key = "name",
            .type = Type::Text,
            .required = true,
            .format = &formats::kName,
            .help = "Name in routes, metrics and outcomes. Unique; case does not matter.",
            .example = R"("main")",
            .in_example = true,
            .store = store<&Provider::name>},
    Setting{.key = "kind",
            .type = Type::Word,
            .required = true,
            .words = kKinds,
            .help = "Which API the provider speaks.",
            .example = R"("sendgrid")",
            .in_example = true,
            .store = store<&Provider::kind>},
    Setting{.key = "base_url",
            .type = Type::Text,
            .format = &formats::kUrl,
            .help = "Where it is. sendgrid and resend have their vendor's address as default; "
                    "http needs the full URL of the POST.",
            .example = R"("https://api.sendgrid.com")",
            .in_example = true,
            .store = store<&Provider::base_url>},
    Setting{.key = "credentials_file",
            .type = Type::Text,
            .is_file = true,
            .format = &formats::kFilled,
            .help = "File with the API key. sendgrid and resend need one; http then sends it as "
                    "\"Authorization: Bearer\".",
            .example = R"("/run/secrets/sendgrid")",
            .in_example = true,
            .store = store<&Provider::credentials_file>},
    Setting{.key = "rate_per_second",
            .type = Type::Number,
            .unit = "requests per second",
            .min = 0,
            .max = 100'000,
            .help = "Limit for the whole group, shared by owned partitions. Above 0. Absent: "
                    "unlimited.",
            .example = "100.0",
            .in_example = true,
            .store = store<&Provider::rate_per_second>},
    Setting{.key = "max_in_flight",
            .type = Type::Integer,
            .fallback = "512",
            .unit = "requests",
            .min = 1,
            .max = 65'536,
            .help = "Most requests of this process to this provider at the same time.",
            .store = store<&Provider::max_in_flight>},
    Setting{.key = "timeout_ms",
            .type = Type::Integer,
            .fallback = "10000",
            .unit = "milliseconds",
            .min = 100,
            .max = 10 * kMinuteMs,
            .help = "How long one request may take. After it the message is in doubt.",
            .store = store<&Provider::timeout>},
    Setting{.key = "ambiguous_statuses",
            .type = Type::IntegerList,
            .min = 300,
            .max = 599,
            .unique = true,
            .help = "HTTP statuses after which nobody knows whether the message was executed. "
                    "Replaces the kind's own rule for them: a documented, reviewed exception.",
            .example = "[500, 502, 504]",
            .store = store<&Provider::ambiguous_statuses>},
    Setting{.key = "retry_statuses",
            .type = Type::IntegerList,
            .min = 300,
            .max = 599,
            .unique = true,
            .help = "HTTP statuses after which the message was certainly not executed and is "
                    "tried again. Replaces the kind's own rule for them: a documented, reviewed "
                    "exception.",
            .example = "[420]",
            .store = store<&Provider::retry_statuses>},
    Setting{.key = "idempotency",
            .type = Type::Word,
            .fallback = R"("none")",
            .words = kIdempotency,
            .kind = "http",
            .help = "Whether the endpoint takes idempotency keys. (resend always does, sendgrid "
                    "never.)",
            .store = store<&Provider::idempotency>},
    Setting{.key = "idempotency_header",
            .type = Type::Text,
            .fallback = R"("Idempotency-Key")",
            .format = &formats::kHeader,
            .kind = "http",
            .help = "Header that carries the key.",
            .store = store<&Provider::idempotency_header>},
    Setting{.key = "idempotency_lifetime_ms",
            .type = Type::Integer,
            .fallback = "86400000",
            .unit = "milliseconds",
            .min = 1'000,
            .max = 365 * kDayMs,
            .kind = "http",
            .help = "How long the endpoint remembers a key. A message in doubt is repeated only "
                    "well within it.",
            .store = store<&Provider::idempotency_lifetime>},
    Setting{.key = "region",
            .type = Type::Text,
            .format = &formats::kName,
            .kind = "ses",
            .help = "Reserved for the kind ses, which this release does not support.",
            .example = R"("eu-west-1")",
            .store = store<&Provider::region>},
    Setting{.key = "domain",
            .type = Type::Text,
            .format = &formats::kName,
            .kind = "mailgun",
            .help = "Reserved for the kind mailgun, which this release does not support.",
            .example = R"("mg.shop.example")",
            .store = store<&Provider::domain>},
    Setting{.key = "tls",
            .type = Type::Word,
            .fallback = R"("required")",
            .words = kTls,
            .kind = "smtp",
            .help = "Reserved for the kind smtp, which this release does not support.",
            .store = store<&Provider::tls>},
};

constexpr std::array kOnAmbiguous{
    Word{.text = "auto",
         .value = int(RouteOnAmbiguous::Auto),
         .help = "repeat with the same key if the provider takes keys, else park"},
    Word{.text = "park",
         .value = int(RouteOnAmbiguous::Park),
         .help = "the outcome is ambiguous and waits for evidence"},
    Word{.text = "resend",
         .value = int(RouteOnAmbiguous::Resend),
         .help = "send again; the recipient may get the message twice"},
};

constexpr std::array kRoutes{
    Setting{.key = "name",
            .type = Type::Text,
            .required = true,
            .format = &formats::kName,
            .help = "Name that send events give as \"route\". Unique; case does not matter.",
            .example = R"("default")",
            .in_example = true,
            .store = store<&Route::name>},
    Setting{.key = "providers",
            .type = Type::TextList,
            .required = true,
            .may_be_empty = false,
            .unique = true,
            .format = &formats::kName,
            .help = "Providers in order of preference. A later one is used only after a definite "
                    "rejection or while the one before it keeps failing, never while a message "
                    "is in doubt.",
            .example = R"(["main", "second"])",
            .in_example = true,
            .store = store<&Route::providers>},
    Setting{.key = "from",
            .type = Type::Mailbox,
            .help = "Sender of events that name none. Absent: every event must name one.",
            .example = R"({email = "hi@shop.example", name = "Shop"})",
            .in_example = true,
            .store = store<&Route::from>},
    Setting{.key = "on_ambiguous",
            .type = Type::Word,
            .fallback = R"("auto")",
            .words = kOnAmbiguous,
            .help = "What is done about a message when nobody can know whether it was sent.",
            .store = store<&Route::on_ambiguous>},
};

constexpr std::array kTraits{
    KindTraits{.kind = ProviderKind::Http},
    KindTraits{.kind = ProviderKind::SendGrid,
               .base_url = "https://api.sendgrid.com",
               .needs_credentials = true},
    // Resend remembers keys for 24 hours and answers a repeated one with the first answer.
    KindTraits{.kind = ProviderKind::Resend,
               .base_url = "https://api.resend.com",
               .needs_credentials = true,
               .has_idempotency_header = true,
               .idempotency_header = "Idempotency-Key",
               .idempotency_lifetime = std::chrono::hours(24)},
};

}  // namespace

std::span<const Setting> provider_settings() {
    return kProviders;
}

std::span<const Setting> route_settings() {
    return kRoutes;
}

const KindTraits* kind_traits(ProviderKind kind) {
    for (const KindTraits& traits : kTraits) {
        if (traits.kind == kind) {
            return &traits;
        }
    }
    return nullptr;
}

std::string_view kind_word(ProviderKind kind) {
    for (const Word& word : kKinds) {
        if (word.value == static_cast<int>(kind)) {
            return word.text;
        }
    }
    return {};
}

bool is_supported_kind(std::string_view text) {
    return std::any_of(kKinds.begin(), kKinds.end(),
                       [&](const Word& word) { return word.supported && word.text == text; });
}

}  // namespace postlane::config
