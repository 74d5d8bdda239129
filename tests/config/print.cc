// Prints what the table of settings generates, and judges a text, for tests in other languages.
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>

#include "config/reference.h"

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "schema") {
        std::cout << postlane::config::json_schema();
    } else if (what == "default") {
        std::cout << postlane::config::default_toml();
    } else if (what == "check") {
        const std::string text(std::istreambuf_iterator<char>(std::cin), {});
        const auto loaded = postlane::config::load(text, "stdin", {}, {},
                                                   {.needs_routes = false, .read_files = false});
        if (!loaded) {
            std::cout << postlane::config::format(loaded.error(), 78);
            return 78;
        }
    } else {
        std::cerr << "usage: config_print schema|default|check <FILE\n";
        return 64;
    }
    return 0;
}
