#include <curl/curl.h>
#include <librdkafka/rdkafka.h>
#include <openssl/crypto.h>
#include <rocksdb/version.h>

#include <CLI/CLI.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/version.hpp>
#include <memory>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/exit_code.h"

namespace postlane::cli {
namespace {

int print_version(bool as_json) {
    const boost::json::object libraries{
        {"librdkafka", rd_kafka_version_str()},
        {"rocksdb", rocksdb::GetRocksVersionAsString()},
        {"curl", curl_version_info(CURLVERSION_NOW)->version},
        {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
        {"boost", fmt::format("{}.{}.{}", BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1000,
                              BOOST_VERSION % 100)}};
    if (as_json) {
        const boost::json::object body{{"version", POSTLANE_VERSION},
                                       {"build_type", POSTLANE_BUILD_TYPE},
                                       {"compiler", POSTLANE_COMPILER},
                                       {"libraries", libraries}};
        print("{}\n", boost::json::serialize(body));
        return exit_code::kOk;
    }
    print("postlane {} ({}, {})\n", POSTLANE_VERSION, POSTLANE_COMPILER, POSTLANE_BUILD_TYPE);
    for (const auto& [name, version] : libraries) {
        print("  {:<11} {}\n", std::string_view(name.data(), name.size()),
              std::string_view(version.as_string().data(), version.as_string().size()));
    }
    return exit_code::kOk;
}

}  // namespace

void add_version(CLI::App& root, Action& action) {
    CLI::App* const command =
        root.add_subcommand("version", "print the version of postlane and of its libraries");
    const auto as_json = std::make_shared<bool>(false);
    command->add_flag("--json", *as_json, "print JSON");
    command->callback(
        [as_json, &action] { action = [as_json] { return print_version(*as_json); }; });
}

}  // namespace postlane::cli
