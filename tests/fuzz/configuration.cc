// The text of a configuration file.
#include "config/load.h"

#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace postlane;
    using namespace postlane::fuzz;
    const std::string text(reinterpret_cast<const char*>(data), size);
    const auto loaded =
        config::load(text, "fuzz.toml", {}, {}, {.needs_routes = true, .read_files = false});
    const config::Diagnostics& said = loaded ? loaded->warnings : loaded.error();
    must(loaded || !said.empty(), "a refusal says why");
    (void)config::format(said, 78);
    (void)config::format_json(said);
    if (loaded) {
        for (const config::Route& route : loaded->config.routes) {
            must(!route.providers.empty(), "a route has a provider");
            for (const std::string& name : route.providers) {
                must(loaded->config.find_provider(name) != nullptr, "a route's provider exists");
            }
        }
    }
    return 0;
}
