// What the store tests share: a directory to throw away, damage, a full disk, a process to kill.
#pragma once

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace postlane {

class ScratchDirectory {
public:
    ScratchDirectory() {
        std::string name =
            (std::filesystem::temp_directory_path() / "postlane-store-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) {
            std::abort();
        }
        path_ = name;
    }
    ~ScratchDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;

    [[nodiscard]] const std::filesystem::path& path() const { return path_; }
    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> found;
        for (const auto& entry : std::filesystem::directory_iterator(path_)) {
            found.push_back(entry.path().filename().string());
        }
        return found;
    }

private:
    std::filesystem::path path_;
};

inline std::vector<std::filesystem::path> files_with(const std::filesystem::path& directory,
                                                     const std::string& part) {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(directory)) {
        if (entry.path().filename().string().find(part) != std::string::npos) {
            found.push_back(entry.path());
        }
    }
    return found;
}

// Flips one byte in every `stride`, beginning at `from`.
inline void damage(const std::filesystem::path& file, std::uintmax_t from, std::uintmax_t stride) {
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    const std::uintmax_t size = std::filesystem::file_size(file);
    for (std::uintmax_t at = from; at < size; at += stride) {
        bytes.seekg(static_cast<std::streamoff>(at));
        const auto byte = static_cast<char>(~bytes.get());
        bytes.seekp(static_cast<std::streamoff>(at));
        bytes.put(byte);
    }
}

// While it lives, no file of this process can grow beyond `bytes`: writes fail as on a full disk.
class FullDisk {
public:
    explicit FullDisk(rlim_t bytes) {
        previous_handler_ = std::signal(SIGXFSZ, SIG_IGN);
        getrlimit(RLIMIT_FSIZE, &previous_);
        rlimit limit = previous_;
        limit.rlim_cur = bytes;
        setrlimit(RLIMIT_FSIZE, &limit);
    }
    ~FullDisk() {
        setrlimit(RLIMIT_FSIZE, &previous_);
        std::signal(SIGXFSZ, previous_handler_);
    }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;

private:
    rlimit previous_{};
    void (*previous_handler_)(int) = nullptr;
};

// Runs one disabled test of this program in a process of its own (RocksDB's threads do not survive
// a fork), waits until it has reported `reports` times, and kills it without warning.
inline constexpr const char* kVictimDirectory = "POSTLANE_TEST_VICTIM_DIRECTORY";
inline void run_victim_and_kill(const std::string& test, const std::filesystem::path& directory,
                                int reports) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const std::string filter = "--gtest_filter=" + test;
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        setenv(kVictimDirectory, directory.c_str(), 1);
        execl("/proc/self/exe", "victim", filter.c_str(), "--gtest_also_run_disabled_tests",
              nullptr);
        _exit(127);
    }
    close(ends[1]);
    int seen = 0;
    char byte = 0;
    while (seen < reports && read(ends[0], &byte, 1) == 1) {
        seen += byte == '#' ? 1 : 0;
    }
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    close(ends[0]);
    ASSERT_EQ(seen, reports);
    ASSERT_TRUE(WIFSIGNALED(status));
}
inline void report_to_killer() {
    [[maybe_unused]] const ssize_t written = write(STDOUT_FILENO, "#", 1);
}

}  // namespace postlane
