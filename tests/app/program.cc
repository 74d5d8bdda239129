#include "program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string_view>

extern char** environ;

namespace postlane::cli {
namespace {

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

Finished run_program(const std::vector<std::string>& arguments, const std::string& input) {
    const TemporaryDirectory files;
    const std::string in = files.write("in", input);
    const std::string out = files.write("out", "");
    const std::string err = files.write("err", "");

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, in.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out.c_str(), O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, err.c_str(), O_WRONLY, 0);

    std::vector<std::string> words{POSTLANE_PROGRAM};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    std::vector<char*> environment;
    for (char** variable = environ; *variable != nullptr; ++variable) {
        if (!std::string_view(*variable).starts_with("POSTLANE_")) {
            environment.push_back(*variable);
        }
    }
    environment.push_back(nullptr);

    pid_t child = 0;
    const int failed =
        posix_spawn(&child, POSTLANE_PROGRAM, &actions, nullptr, argv.data(), environment.data());
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        throw std::runtime_error("the program does not start; build the target postlane");
    }
    int status = 0;
    waitpid(child, &status, 0);
    return {.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
            .out = read_file(out),
            .err = read_file(err)};
}

TemporaryDirectory::TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "postlane-test-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
        throw std::runtime_error("no temporary directory");
    }
    path_ = name;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TemporaryDirectory::write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = path_ / name;
    std::ofstream(path, std::ios::binary) << text;
    chmod(path.c_str(), S_IRUSR | S_IWUSR);
    return path.string();
}

void expect_golden(const std::string& name, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(POSTLANE_GOLDEN_DIRECTORY) / name;
    if (std::getenv("POSTLANE_UPDATE_GOLDEN") != nullptr) {
        std::ofstream(path, std::ios::binary) << text;
    }
    EXPECT_EQ(text, read_file(path))
        << "differs from golden/" << name << "; POSTLANE_UPDATE_GOLDEN=1 rewrites it";
}

std::string sample_config() {
    return R"(schema_version = 1
[kafka]
bootstrap_servers = ["127.0.0.1:9"]
require_durable_topics = false
[[providers]]
name = "keyed"
kind = "resend"
credentials_file = "keyed.token"
[[providers]]
name = "plain"
kind = "http"
base_url = "http://127.0.0.1:8025/send"
[[routes]]
name = "default"
providers = ["keyed", "plain"]
from = {email = "hi@shop.example", name = "Shop"}
[[routes]]
name = "bulk"
providers = ["plain"]
from = {email = "hi@shop.example"}
on_ambiguous = "resend"
[admin]
listen = "127.0.0.1:8081"
)";
}

}  // namespace postlane::cli
