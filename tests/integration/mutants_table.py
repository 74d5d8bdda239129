"""What is taken out of the program, one mechanism at a time, and the black-box test that must notice."""

from typing import NamedTuple


class Edit(NamedTuple):
    file: str
    old: str  # stands in the file exactly once
    new: str


class Mutant(NamedTuple):
    name: str
    taken_out: str
    edits: tuple
    test: str  # for pytest -k; at least one of the tests must fail by an assertion


ATTEMPT, RUNNER, START = "src/core/attempt.cc", "src/runtime/partition_runner.cc", "src/runtime/partition_start.cc"
GUARD = "src/runtime/dispatch_guard.cc"

NO_CHECK_AT_ATTEMPT = Edit(
    ATTEMPT, "    auto verdict = ask_gate(decision, input.event);",
    "    auto verdict = SuppressionGate::check(nullptr, nullptr, Mail{{}, {}}, {}, decision.now());")
FOREIGN_IS_OURS = Edit(
    RUNNER, "        if (intent.attempt.process == registry_.process()) {",
    "        if (intent.attempt.process == registry_.process() || !registry_.knows(intent.attempt)) {")

MUTANTS = (
    Mutant("AttemptsNotReported", "the outcome says how many attempts there were",
           (Edit("src/core/decision.cc", "record.attempts = row.attempts;", "record.attempts = 0;"),),
           "test_messages_are_sent_once and header"),
    Mutant("NoDuplicateCheck", "a known message is recognised",
           (Edit("src/core/admission.cc", "if (known && known->state != MessageState::DeadLettered) {",
                 "if (known && known->state == MessageState::Sending) {"),),
           "test_replay_of_the_whole_input"),
    Mutant("StepsDoNotWait", "a step waits for the end of the one before",
           (Edit("src/core/sequence.cc", "return step == row.expected ? StepPlace::Eligible : StepPlace::Waiting;",
                 "return StepPlace::Eligible;"),),
           "test_shuffled_sequences"),
    Mutant("GapTimerNeverFires", "a gap ends after ordering.max_wait_ms",
           (Edit("src/core/timers.cc", "row->wake_at <= decision.now()) {", "row->wake_at == Instant::max()) {"),),
           "test_gap_is_dead_lettered"),
    Mutant("LateStepsAreSent", "a step that was skipped is not sent later",
           (Edit("src/core/sequence.cc", "    if (step < row.expected) {\n        return StepPlace::Late;",
                 "    if (step < row.expected) {\n        return StepPlace::Eligible;"),),
           "test_gap_is_skipped"),
    Mutant("PoisonIsSwallowed", "an unreadable record becomes a dead letter",
           (Edit("src/core/admission.cc", "    decision.add(std::move(letter));\n", ""),),
           "test_every_kind_of_poison"),
    Mutant("HeadersUnbounded", "the size of a record's headers is limited",
           (Edit("src/codec/decode_send.cc", "bytes > kRecordHeadersBytesMax)",
                 "bytes > 1024 * kRecordHeadersBytesMax)"),),
           "test_a_huge_key"),
    Mutant("GateNeverRefuses", "the gate refuses suppressed recipients",
           (Edit("src/core/suppression.cc", "    if (hit) {\n", "    if (hit && now == Instant{}) {\n"),),
           "test_race_of_thousands"),
    Mutant("CheckedAtAcceptanceOnly", "suppressions are asked for at the attempt and in the last check",
           (NO_CHECK_AT_ATTEMPT,
            Edit(GUARD, "        return NotHandedOver::SuppressionArrived;", "        return std::nullopt;")),
           "test_race_of_thousands"),
    Mutant("RetriesIgnoreSuppressions", "suppressions are asked for before a retry",
           (NO_CHECK_AT_ATTEMPT,), "test_an_unsubscribe_stops"),
    Mutant("MisroutedIsDropped", "a suppression in the wrong partition is forwarded",
           (Edit("src/core/suppression_received.cc",
                 "        decision.add(ForwardSuppression{*input.belongs_to, input.record});\n", ""),),
           "test_a_misrouted_suppression"),
    Mutant("ProofsUnreached", "a proof counts once everything below its end is applied",
           (Edit("src/runtime/freshness.h", "waiting_.front().end <= applied_", "waiting_.front().end >= 0"),),
           "test_a_hung_transaction"),
    Mutant("ForeignIntentNeverSent", "an intent of a killed process is in doubt (kill -9)",
           (FOREIGN_IS_OURS,), "test_kill_9_in_a_loop"),
    Mutant("TakeoverBelievesNotSent", "an intent of a killed process is in doubt (takeover)",
           (FOREIGN_IS_OURS,), "test_two_instances_one_killed and none"),
    Mutant("NoReplay", "the ledger is replayed at a start",
           (Edit(START, "replay(*from, range->end)", "replay(range->end, range->end)"),),
           "test_local_state_lost and wiped"),
    Mutant("StorePositionUnread", "the replay begins at the store's position",
           (Edit(START, "        return (*position)->ledger_next;", "        return range.end;"),),
           "test_local_state_lost and stale"),
    Mutant("LostLedgerIsAFirstStart", "a lost ledger is told from a first start",
           (Edit(START, "    if (*committed) {", "    if (*committed && range.end < 0) {"),),
           "test_ledger_topic_lost"),
    Mutant("StoreErrorsIgnored", "a write that fails stops the partition",
           (Edit("src/runtime/ledger_view.cc", "    return store_.write(out);\n}\n\nResult<std::optional<ledger::Pos",
                 "    (void)store_.write(out);\n    return {};\n}\n\nResult<std::optional<ledger::Pos"),),
           "test_full_disk"),
    Mutant("DrainDoesNotWait", "a drain waits for open requests",
           (Edit("src/runtime/partition.cc", "runner_->open_intents() == 0 && !runner_->has_batch()",
                 "!runner_->has_batch()"),),
           "test_sigterm_drains"),
    Mutant("LastCheckKnowsNoTime", "the last check asks for epoch, deadline and freshness",
           (Edit(GUARD, "epoch_ == 0 || partition_->epoch.load() != epoch_", "epoch_ == 0"),
            Edit(GUARD, "now >= deadline_)", "now >= deadline_ + std::chrono::hours{1})"),
            Edit(GUARD, "now - fresh > staleness_max_)", "now - fresh > staleness_max_ + std::chrono::hours{1})")),
           "test_zombie_sends_nothing"),
    Mutant("FencedByGroup", "the transactional id comes from the ledger",
           (Edit("src/adapters/kafka/transaction_log.cc",
                 '{"transactional.id", transactional_id(config_.topics.ledger,',
                 '{"transactional.id", transactional_id(config_.kafka.group_id,'),),
           "test_two_groups_on_one_ledger"),
    Mutant("PartitionCountUnchecked", "the genesis pins the number of partitions",
           (Edit(START, "    if (genesis.partition_count != around_.partition_count) {",
                 "    if (genesis.partition_count == 0) {"),),
           "test_more_partitions"),
    Mutant("AnyStoreIsTrusted", "a store of another ledger is rebuilt",
           (Edit(START, "*position && genesis && (*position)->genesis == genesis->uuid", "*position && genesis"),),
           "test_a_ledger_begun_anew"),
    Mutant("CircuitNeverOpens", "the circuit opens when a provider is down",
           (Edit("src/runtime/provider_flow.cc", "failures_ < kFailuresToOpen &&",
                 "failures_ < 100'000 * kFailuresToOpen &&"),),
           "test_outage_of_the_esp"),
    Mutant("RefusedAccountCounts", "refused credentials count as no attempt",
           (Edit(ATTEMPT, "answer != AnswerClass::NotHandedOver && answer != AnswerClass::AccountRefused",
                 "answer != AnswerClass::NotHandedOver"),),
           "test_refused_credentials"),
)
