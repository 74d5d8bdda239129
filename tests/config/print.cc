// Prints what the table of settings generates, for tests in other languages.
#include <iostream>
#include <string_view>

#include "config/reference.h"

int main(int argc, char** argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "schema") {
        std::cout << postlane::config::json_schema();
    } else if (what == "default") {
        std::cout << postlane::config::default_toml();
    } else {
        std::cerr << "usage: config_print schema|default\n";
        return 64;
    }
    return 0;
}
