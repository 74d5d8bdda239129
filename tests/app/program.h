// Runs the built program as a user would, and compares what it prints with files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace postlane::cli {

struct Finished {
    int exit_code = -1;
    std::string out;
    std::string err;
};

// Without POSTLANE_ variables; `input` becomes stdin.
[[nodiscard]] Finished run_program(const std::vector<std::string>& arguments,
                                   const std::string& input = "");

// A directory that goes away with the object.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
    // Writes a file that only its owner can read; returns its path.
    std::string write(const std::string& name, const std::string& text) const;

private:
    std::filesystem::path path_;
};

// Fails unless `text` is what the file of that name in golden/ holds. With POSTLANE_UPDATE_GOLDEN=1
// the file is written instead.
void expect_golden(const std::string& name, const std::string& text);

// A valid configuration: one keyed and one unkeyed provider, two routes.
[[nodiscard]] std::string sample_config();

}  // namespace postlane::cli
