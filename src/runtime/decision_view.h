// What one decision sees of the ledger.
//
// A store that cannot be read must not look like one that has nothing: the core would decide on it, or take a missing
// row for a broken rule and end the process. So the first read that fails ends the decision. Private to the runner.
#pragma once

#include "runtime/ledger_view.h"

namespace postlane {

// Caught where step() is called; LedgerView::failure() says why, and the partition restarts.
struct StoreUnreadable {};

class DecisionView final : public StateView {
public:
    explicit DecisionView(const LedgerView& view) : view_(view) {}

    std::optional<MessageRow> message(const MessageId& id) const override {
        return readable(view_.message(id));
    }
    std::optional<SequenceRow> sequence(std::string_view sequence_id) const override {
        return readable(view_.sequence(sequence_id));
    }
    std::optional<StepEntry> step(std::string_view sequence_id, Step step) const override {
        return readable(view_.step(sequence_id, step));
    }
    std::optional<StepEntry> next_step(std::string_view sequence_id, Step from) const override {
        return readable(view_.next_step(sequence_id, from));
    }
    std::optional<SuppressionRow> suppressions() const override {
        return readable(view_.suppressions());
    }
    std::optional<SuppressionRow> address_suppressions(const AddressKey& key) const override {
        return readable(view_.address_suppressions(key));
    }

private:
    template <class Row>
    std::optional<Row> readable(std::optional<Row> row) const {
        if (view_.failed()) {
            throw StoreUnreadable{};
        }
        return row;
    }
    const LedgerView& view_;
};

}  // namespace postlane
