// Shared by the tests of the configuration.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "config/load.h"

namespace postlane::config {

// A complete configuration: tests append to it or replace parts of it.
inline const std::string kMinimal =
    "schema_version = 1\n"
    "[[providers]]\n"
    "name = \"main\"\n"
    "kind = \"http\"\n"
    "base_url = \"https://esp.example/send\"\n"
    "[[routes]]\n"
    "name = \"default\"\n"
    "providers = [\"main\"]\n";

inline LoadResult load_text(const std::string& text, const Environment& environment = {},
                            const std::vector<FlagOverride>& flags = {},
                            const LoadOptions& options = {}) {
    return load(text, "t.toml", environment, flags, options);
}

// The diagnostics as people see them; empty if the text is valid and free of warnings.
inline std::string complaints(const LoadResult& result) {
    const Diagnostics& all = result ? result->warnings : result.error();
    return all.empty() ? "" : format(all, result ? 0 : 78);
}

// A directory that lives as long as the test.
class TempDirectory {
public:
    TempDirectory() {
        std::string pattern = (std::filesystem::temp_directory_path() / "config-XXXXXX").string();
        path_ = ::mkdtemp(pattern.data());
    }
    ~TempDirectory() { std::filesystem::remove_all(path_); }
    TempDirectory(const TempDirectory&) = delete;
    TempDirectory& operator=(const TempDirectory&) = delete;

    [[nodiscard]] std::string write(const std::string& name, const std::string& text,
                                    mode_t mode = 0600) const {
        const std::filesystem::path file = path_ / name;
        std::ofstream(file) << text;
        ::chmod(file.c_str(), mode);
        return file.string();
    }
    [[nodiscard]] std::string path() const { return path_.string(); }

private:
    std::filesystem::path path_;
};

inline std::string read_text(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace postlane::config
