// A record of the suppressions topic. Every one gets a receipt.
#include "core/decision.h"

namespace postlane {

void on(Decision& decision, const SuppressionReceived& input) {
    SuppressionReceipt receipt;
    receipt.input_offset = input.record.offset;
    receipt.decided_at = decision.now();
    if (input.decoded && !decision.recipient().value().empty()) {
        receipt.recipient_id = decision.recipient();
    }

    if (!input.decoded) {
        receipt.result = SuppressionReceipt::Result::Rejected;
        receipt.reason = input.decoded.error().reason;
        DeadLetter letter;
        letter.reason = receipt.reason;
        letter.detail = input.decoded.error().detail;
        letter.from_suppressions = true;
        letter.record = input.record;
        decision.add(std::move(letter));
    } else if (input.belongs_to) {
        // Never a dead letter: that would mail someone who unsubscribed.
        receipt.result = SuppressionReceipt::Result::Forwarded;
        receipt.reason = Reason::MisroutedKey;
        decision.add(ForwardSuppression{*input.belongs_to, input.record});
    } else {
        SuppressionRow row = decision.view().suppressions().value_or(SuppressionRow{});
        const SuppressionRow before = row;
        if (fold(row, *input.decoded) == FoldResult::Applied) {
            receipt.reason =
                input.decoded->made_effective ? Reason::InvalidMadeEffective : Reason::None;
        } else {
            receipt.result = SuppressionReceipt::Result::Superseded;
            receipt.reason = Reason::NewerStands;
        }
        if (row != before) {  // a superseded unsuppress is still remembered
            decision.add(PutSuppressions{std::move(row)});
        }
    }
    decision.add(std::move(receipt));
}

}  // namespace postlane
