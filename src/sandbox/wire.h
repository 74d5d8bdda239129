// The providers' wire formats: what a request must contain, and what the answers look like.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postlane::sandbox {

enum class Provider : std::uint8_t { SendGrid, Resend, Http };
constexpr std::size_t kProviderCount = 3;
std::string_view name_of(Provider provider);

// POST /v3/mail/send, POST /emails; every other path is the generic http provider.
Provider provider_of(std::string_view path);

struct Answer {
    int status = 200;
    std::string body;     // JSON unless content_type says otherwise
    std::string headers;  // further header lines, each ended by CRLF
    std::string_view content_type = "application/json";
};

// What a record tells about a message. Views into the parser's document and the request.
struct Envelope {
    std::optional<std::string_view> to;
    std::optional<std::string_view> recipient_id;
    std::optional<std::string_view> message_id;
    std::optional<std::string_view> postlane_id;
    std::optional<std::string_view> tag;
    std::optional<std::string_view> subject;
    std::optional<std::string_view> sequence_id;
    std::optional<std::int64_t> sequence_step;
    std::uint64_t recipients = 0;  // mails that this request asks for
};

struct Problem {
    int status = 400;
    std::string_view name;  // Resend's error name
    std::string field;      // SendGrid's error field
    std::string message;
};

// Reads and validates bodies. Not thread-safe; keeps the last document alive.
class BodyReader {
public:
    BodyReader();
    ~BodyReader();
    BodyReader(const BodyReader&) = delete;
    BodyReader& operator=(const BodyReader&) = delete;

    // Fills `envelope` as far as the body can be read, also when there is a problem. Grows the
    // capacity of `body`, whose content must outlive `envelope`.
    std::optional<Problem> read(Provider provider, std::string& body, Envelope& envelope);

private:
    struct State;
    State* state_;
};

Answer accepted(Provider provider, std::string_view id);
Answer refused(Provider provider, const Problem& problem);
Answer throttled(Provider provider, std::uint32_t retry_after_s);

}  // namespace postlane::sandbox
