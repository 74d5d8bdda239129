#include "config/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "config/librdkafka.h"
#include "config/text.h"

namespace postlane::config {
namespace {

constexpr std::size_t kLargestFile = 1 << 20;  // certificates are a few KiB

struct FileText {
    std::string text{};
    bool open_to_others = false;
    std::string trouble{};  // empty: it was read
};

class Descriptor {
public:
    explicit Descriptor(const std::string& path)
        // O_NONBLOCK: opening a FIFO must not hang the start; it is refused afterwards.
        : number_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
    ~Descriptor() {
        if (number_ >= 0) {
            ::close(number_);
        }
    }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    [[nodiscard]] int number() const noexcept { return number_; }

private:
    int number_;
};

std::string system_message(int error) {
    return std::generic_category().message(error);
}

FileText read_file(const std::string& path) {
    const Descriptor file(path);
    struct stat status{};
    if (file.number() < 0 || ::fstat(file.number(), &status) != 0) {
        return FileText{.trouble = system_message(errno)};
    }
    if (!S_ISREG(status.st_mode)) {
        return FileText{.trouble = "it is no regular file"};
    }
    FileText out{.open_to_others = (status.st_mode & S_IROTH) != 0};
    std::array<char, 4096> block{};
    while (true) {
        const ssize_t got = ::read(file.number(), block.data(), block.size());
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return FileText{.trouble = system_message(errno)};
        }
        if (got == 0) {
            return out;
        }
        out.text.append(block.data(), static_cast<std::size_t>(got));
        if (out.text.size() > kLargestFile) {
            return FileText{.trouble = "it is longer than 1 MiB"};
        }
    }
}

class SecretFiles {
public:
    explicit SecretFiles(Draft& draft)
        : draft_(draft), directory_(std::filesystem::path(draft.report.file()).parent_path()) {}

    // The trimmed content; empty, and reported, if there is none.
    std::string content(const std::string& key, const std::string& path, bool one_line) {
        const Place place = draft_.place_of(key);
        const bool show = looks_like_path(path);
        FileText file = read_file(directory_ / path);
        if (!file.trouble.empty()) {
            fail(Code::FileUnreadable, place, key,
                 fmt::format("the file cannot be read: {}", file.trouble),
                 show ? "" : "give the path of a file that holds the value, not the value", show);
            return {};
        }
        if (file.open_to_others) {
            draft_.report.warning(Code::FileOpenToOthers, place, key,
                                  "every user of this machine can read the file",
                                  "take the permission away: chmod o-r FILE");
        }
        const std::string text(trimmed(file.text));
        if (text.empty()) {
            fail(Code::FileEmpty, place, key, "the file is empty", "write the value into it", show);
        } else if (one_line && !std::all_of(text.begin(), text.end(), [](char c) {
                       return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
                   })) {
            fail(Code::Malformed, place, key, "the file holds more than one word",
                 "it must hold the credential alone, without blanks and line breaks", show);
            return {};
        }
        return text;
    }

private:
    void fail(Code code, const Place& place, const std::string& key, std::string message,
              std::string hint, bool show) {
        draft_.report.error(code, place, key, std::move(message), std::move(hint), show);
        draft_.reject(key);
    }

    Draft& draft_;
    std::filesystem::path directory_;
};

}  // namespace

void read_secret_files(Draft& draft) {
    SecretFiles files(draft);
    Config& config = draft.config;
    for (std::size_t i = 0; i < config.providers.size(); ++i) {
        Provider& provider = config.providers[i];
        const std::string key = draft.provider_keys[i] + ".credentials_file";
        if (!provider.credentials_file.empty()) {
            provider.credentials = Secret(files.content(key, provider.credentials_file, true));
        }
    }
    if (!config.admin.token_file.empty()) {
        config.admin.token =
            Secret(files.content("admin.token_file", config.admin.token_file, true));
    }
    for (auto& [name, value] : config.kafka.librdkafka) {
        const std::string key = std::string(kFilesPrefix) + name;
        if (draft.given(key) && draft.sound(key)) {
            value = files.content(key, value, false);
        }
    }
}

}  // namespace postlane::config
