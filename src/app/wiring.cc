#include "app/wiring.h"

#include "app/instance.h"

namespace postlane {

int run_postlane(const Config& config) {
    Instance instance(config);
    return instance.run();
}

}  // namespace postlane
