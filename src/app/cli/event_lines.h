// Events as lines of JSON, checked with the very rules that a running postlane applies.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "codec/decode.h"
#include "postlane/config.h"

namespace postlane::cli {

// The lines of a file, one at a time. Memory is bounded: of a longer line only the beginning is
// kept, which is enough to refuse it.
class LineReader {
public:
    LineReader(std::FILE* file, std::size_t max_line_bytes)
        : file_(file), max_line_bytes_(max_line_bytes) {}

    // Without the line end. False at the end of the file or after a read error.
    [[nodiscard]] bool next(std::string& line);
    [[nodiscard]] std::uint64_t line_number() const noexcept { return line_number_; }
    [[nodiscard]] bool failed() const noexcept { return std::ferror(file_) != 0; }

private:
    std::FILE* file_;
    std::size_t max_line_bytes_;
    std::uint64_t line_number_ = 0;
};

struct CheckedLine {
    std::string key;  // the recipient id; the record's key
    std::optional<Rejection> rejection;
};

// One thread.
class LineChecker {
public:
    // The partition count of the sends topic.
    LineChecker(const Config& config, std::int32_t partitions);
    ~LineChecker();

    [[nodiscard]] CheckedLine check(const std::string& line);

private:
    struct Parser;
    const Config& config_;
    std::int32_t partitions_;
    Decoder decoder_;
    std::unique_ptr<Parser> parser_;
};

}  // namespace postlane::cli
