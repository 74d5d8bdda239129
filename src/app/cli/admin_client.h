// Asks a running instance's admin listener.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/cli/config_file.h"
#include "postlane/error.h"

namespace CLI {
class App;
}

namespace postlane::cli {

struct AdminOptions {
    ConfigOptions config;
    std::string endpoint;    // empty: admin.listen of the configuration
    std::string token_file;  // empty: admin.token_file
};
// -c, --set, --endpoint, --token-file.
void add_admin_options(CLI::App& command, AdminOptions& options, bool config_is_required);

struct AdminReply {
    int status = 0;
    std::string body;
};

class AdminClient {
public:
    // Finds endpoint and token. Prints what is wrong; empty: exit with `exit_code`.
    [[nodiscard]] static std::optional<AdminClient> make(const AdminOptions& options,
                                                         int& exit_code);

    // `path` begins with a slash and is encoded. Unavailable if nobody answers.
    [[nodiscard]] Result<AdminReply> get(const std::string& path) const;
    [[nodiscard]] Result<AdminReply> post(const std::string& path, const std::string& body) const;

    [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }

private:
    [[nodiscard]] Result<AdminReply> ask(const std::string& path, const std::string* body) const;

    std::string endpoint_;
    Secret token_;
};

// Percent-encoded for one segment of a path or a value of a query.
[[nodiscard]] std::string encoded(const std::string& text);

// Prints the problem that an answer other than 200 describes; gives the exit code.
[[nodiscard]] int report_problem(const AdminReply& reply);

}  // namespace postlane::cli
