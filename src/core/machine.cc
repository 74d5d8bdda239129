// step(): one input, what is known, effects. Each rule lives in the file that decision.h names.
#include "postlane/machine.h"

#include "core/decision.h"

namespace postlane {

Effects step(const StateView& view, const Input& input, const Context& context) {
    Decision decision(view, context);
    std::visit([&](const auto& event) { on(decision, event); }, input);
    return decision.take();
}

}  // namespace postlane
