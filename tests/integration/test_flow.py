"""The ordinary life of a campaign: sent once, in order, and replayed without effect."""

import json
import os
import random

import jsonschema
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from checker_facts import read_topic
from harness import eventually, now
from kafka_node import REPOSITORY

OUTCOME_SCHEMA = os.path.join(REPOSITORY, "schemas", "outcome.schema.json")


def validate_outcomes(outcomes):
    with open(OUTCOME_SCHEMA, encoding="utf-8") as text:
        validator = jsonschema.Draft202012Validator(json.load(text))
    for row in outcomes.all:
        document = {name: value for name, value in row.items() if not name.startswith("_")}
        problem = jsonschema.exceptions.best_match(validator.iter_errors(document))
        assert problem is None, f"{problem.message}\n{json.dumps(document, indent=1)}"


@pytest.mark.parametrize("idempotency", ["header", "none"])
def test_messages_are_sent_once_with_outcomes_of_the_contract(make_stack, idempotency):
    stack = make_stack(provider={"idempotency": idempotency})
    event = stack.feed.send("ann", "welcome", campaign_id="spring", category=" Marketing ")
    for i in range(400):
        stack.feed.send(f"user-{i}", "welcome")
    instance = stack.instance().start()
    report = stack.check(min_executed=401)
    assert report.outcome_count("sent") == 401

    outcome = stack.outcomes.of("ann", "welcome")[0]
    executed = next(row for row in stack.sandbox.executed() if row["recipient_id"] == "ann")
    assert outcome["_key"] == b"ann"
    assert outcome["_place"][0] == outcome["input"]["partition"] == stack.partition_of("ann")
    assert outcome["input"] == {"topic": stack.topics["sends"], "partition": stack.partition_of("ann"), "offset": 0}
    assert (outcome["outcome"], outcome["reason"], outcome["attempts"]) == ("sent", "accepted", 1)
    assert (outcome["campaign_id"], outcome["category"]) == ("spring", "marketing")
    assert (outcome["route"], outcome["provider"]) == ("default", "main")
    assert outcome["received_at"] <= outcome["decided_at"]
    key = outcome["idempotency_key"]
    assert key == executed["idempotency_key" if idempotency == "header" else "postlane_id"]
    assert len(key) <= 64 and "ann" not in key and "welcome" not in key
    assert executed["postlane_id"] == key
    assert outcome["provider_message_id"]
    assert executed["tag"] == event["metadata"]["tag"]
    validate_outcomes(stack.outcomes)

    metrics = instance.metrics()
    assert metrics['postlane_outcomes_total{outcome="sent",reason="accepted"}'] == 401
    assert instance.metric("postlane_events_consumed_total") >= 401
    instance.terminate()
    assert "@example.com" not in instance.logs(10_000), "an address in the log"
    assert not any("@example.com" in json.dumps({**row, "_key": ""}) for row in stack.outcomes.all)


def test_replay_of_the_whole_input_executes_nothing(make_stack):
    stack = make_stack()
    for i in range(200):
        stack.feed.send(f"user-{i}", "m1")
        stack.feed.step(f"user-{i}", "drip", 1)
        stack.feed.step(f"user-{i}", "drip", 2)
    stack.feed.suppress("user-7")
    instance = stack.instance().start()
    stack.settle()
    executed = len(stack.sandbox.executed())

    for record in list(read_topic(stack.bootstrap, stack.topics["sends"])):
        stack.feed.raw("sends", record.key, record.value, record.partition)
    stack.settle()
    instance.terminate()  # and once more with the state read back from the disk
    instance.start()
    stack.feed.send("user-3", "m1", metadata={"tag": "another body is the same message"})
    conflict = stack.feed.send("user-4", "m1", content={"subject": "Changed", "text": "y"})
    report = stack.check(min_executed=500)

    assert len(stack.sandbox.executed()) == executed
    assert conflict["metadata"]["tag"] not in {row["tag"] for row in stack.sandbox.requests()}
    duplicates = [row for row in stack.outcomes.all if row.get("outcome") == "duplicate"]
    assert len(duplicates) == 602 == report.outcome_count("duplicate")
    assert report.outcome_count("duplicate", "payload_conflict") == 1
    assert all(row["original"]["input"]["offset"] < row["input"]["offset"] for row in duplicates)
    assert {row["original"]["state"] for row in duplicates} <= {"sent", "suppressed_at_send"}
    assert all(row["attempts"] == 0 for row in duplicates)
    validate_outcomes(stack.outcomes)


def test_shuffled_sequences_arrive_in_order(make_stack):
    stack = make_stack(faults={"latency_ms": 5, "latency_jitter_ms": 20}, ordering={"min_spacing_ms": 20})
    steps = [(f"user-{i % 150}", f"drip-{i % 2}", step) for i in range(150) for step in range(1, 6)]
    random.Random(1).shuffle(steps)
    for who, sequence, step in steps:
        stack.feed.step(who, sequence, step)
    instance = stack.instance().start()
    report = stack.check(min_executed=len(steps))
    assert report.outcome_count("sent") == len(steps)
    assert report.figures["smallest_spacing_ms"] >= 20
    assert instance.metric("postlane_gaps_total") > 0


def test_default_message_ids(make_stack):
    stack = make_stack()
    stack.feed.send("ann", campaign_id="spring")
    stack.feed.send("ann", campaign_id="spring")
    for step in (1, 2):
        stack.feed.step("ann", " Drip ", step, campaign_id="spring")
        stack.feed.step("ann", "other", step)
    stack.instance().start()
    stack.check(min_executed=5)
    assert sorted(row["message_id"] for row in stack.outcomes.of("ann") if row["outcome"] == "sent") == [
        "campaign:spring", "campaign:spring:sequence:drip:1", "campaign:spring:sequence:drip:2", "sequence:other:1",
        "sequence:other:2"]
    assert sum(row["outcome"] == "duplicate" for row in stack.outcomes.of("ann")) == 1


def test_due_times_spacing_and_expiry(make_stack):
    stack = make_stack(ordering={"min_spacing_ms": 400})
    feed = stack.feed
    feed.send("scheduled", "m", send_at=now(2500))
    feed.send("scheduled", "now")  # a scheduled message holds nothing else back
    for step in (1, 2, 3):
        feed.step("spaced", "drip", step)
        feed.step("delayed", "drip", step, delay_after_previous_ms=1200)
    feed.send("stale", "m", expires_at=now(-1000))
    feed.send("doomed", "m", send_at=now(3000), expires_at=now(2000))
    feed.step("stale", "drip", 1, expires_at=now(-1000))
    feed.step("stale", "drip", 2)  # a step that expired is passed over
    stack.instance().start()
    stack.check(min_executed=9)
    assert stack.outcomes.words("doomed") == ["expired/ttl_passed"]
    assert sorted(stack.outcomes.words("stale")) == ["expired/ttl_passed"] * 2 + ["sent/accepted"]
    arrival = {row["message_id"]: row["t_rx_us"] for row in stack.sandbox.executed()
               if row["recipient_id"] == "scheduled"}
    assert arrival["m"] - arrival["now"] > 1_000_000
    delayed = [row["t_rx_us"] for row in stack.sandbox.executed() if row["recipient_id"] == "delayed"]
    assert delayed[1] - delayed[0] >= 1_100_000 and delayed[2] - delayed[1] >= 1_100_000


def test_gap_is_dead_lettered_and_can_be_replayed(make_stack):
    stack = make_stack(ordering={"max_wait_ms": 1500, "on_gap": "dead_letter", "max_held": 3})
    feed, outcomes = stack.feed, stack.outcomes
    feed.step("gap", "drip", 1)
    third = feed.step("gap", "drip", 3)
    feed.send("gap", "other")  # a held step holds nothing else back
    for step in (2, 3, 4, 5):
        feed.step("overflow", "drip", step)
    feed.step("conflict", "drip", 2, message_id="first")
    feed.step("conflict", "drip", 2, message_id="second")
    stack.instance().start()
    stack.settle()
    assert sorted(outcomes.words("gap")) == ["dead_lettered/gap_timeout", "sent/accepted", "sent/accepted"]
    assert sorted(outcomes.words("overflow")) == ["dead_lettered/gap_timeout"] * 3 + ["dead_lettered/held_overflow"]
    assert outcomes.words("conflict") == ["dead_lettered/step_conflict", "dead_lettered/gap_timeout"]

    feed.step("gap", "drip", 2)
    feed.send("gap", **{name: value for name, value in third.items() if name != "to"})
    stack.check(min_executed=4)
    executed = [row["sequence"]["step"] for row in stack.sandbox.executed() if row["sequence"]]
    assert executed == [1, 2, 3]


def test_input_in_transactions_ends_like_any_other(make_stack):
    """What ends a transaction, and what was aborted, has an offset and is no input: behind it a gap still ends on time,
    and nothing is left to read."""
    stack = make_stack(ordering={"max_wait_ms": 1500})
    feed = stack.feed
    instance = stack.instance().start()
    producer = Producer({"bootstrap.servers": stack.bootstrap, "transactional.id": stack.topics["sends"] + "-app",
                         "log_level": 0})
    producer.init_transactions(20)

    def produce(who, message, commit, **fields):
        producer.begin_transaction()
        producer.produce(stack.topics["sends"], key=who.encode(), value=json.dumps(feed.event(who, message, **fields)),
                         partition=stack.partition_of(who))
        producer.flush(20)
        producer.commit_transaction(20) if commit else producer.abort_transaction(20)
        feed.sends += commit

    produce("bob", "never", False)
    produce("ann", "welcome", True)
    produce("ann", None, True, sequence={"id": "drip", "step": 2})
    produce("ann", "never", False)
    stack.check(min_executed=1)
    assert stack.outcomes.words("ann") == ["sent/accepted", "dead_lettered/gap_timeout"]
    assert not stack.outcomes.of("bob")
    produce("ann", "never", False)  # and no transaction of postlane's follows

    group = Consumer({"bootstrap.servers": stack.bootstrap, "group.id": stack.base["kafka"]["group_id"]})
    place = TopicPartition(stack.topics["sends"], stack.partition_of("ann"))

    def nothing_left():
        end = group.get_watermark_offsets(place, timeout=10)[1]
        return end >= 8 and group.committed([place], timeout=10)[0].offset == end

    eventually("the group's offset is at the end", nothing_left)
    lags = [value for series, value in instance.metrics().items()
            if series.startswith("postlane_partition_lag_records")]
    assert lags and not any(lags), lags
    group.close()
    instance.terminate()


def test_gap_is_skipped_by_policy_and_the_late_step_is_never_sent(make_stack):
    stack = make_stack(ordering={"max_wait_ms": 1000, "on_gap": "skip"})
    feed, outcomes = stack.feed, stack.outcomes
    for step in (1, 4, 3):
        feed.step("ann", "drip", step)
    stack.instance().start()
    stack.settle()
    skipping = [row for row in outcomes.of("ann") if row.get("skipped_steps")]
    assert [(row["sequence"]["step"], row["skipped_steps"]) for row in skipping] == [(3, [2])]
    feed.step("ann", "drip", 2)
    feed.step("ann", "drip", 5)
    stack.check(min_executed=4)
    assert outcomes.words("ann").count("dead_lettered/late_step") == 1
    assert outcomes.words("ann").count("sent/accepted") == 4


def test_gap_waits_by_policy(make_stack):
    stack = make_stack(ordering={"max_wait_ms": 500, "on_gap": "wait"})
    feed, outcomes = stack.feed, stack.outcomes
    feed.step("ann", "drip", 3)
    feed.step("ann", "drip", 2)
    feed.step("bob", "drip", 1)
    instance = stack.instance().start()
    outcomes.wait_for("bob's step is sent", lambda o: o.of("bob"))
    instance.kill9()  # what is held is durable
    feed.send("clock", "m", send_at=now(2000))
    feed.flush()
    instance.start()
    outcomes.wait_for("two seconds pass", lambda o: o.of("clock"))
    assert not outcomes.of("ann"), "a held step got an outcome although the policy is to wait"
    feed.step("ann", "drip", 1)
    stack.check(min_executed=5)
    assert outcomes.words("ann") == ["sent/accepted"] * 3


def test_waiting_for_a_gap_ends_after_the_longest_halt(make_stack):
    stack = make_stack(ordering={"max_wait_ms": 100, "max_halt_ms": 1500, "on_gap": "wait"})
    stack.feed.step("ann", "drip", 2)
    stack.instance().start()
    stack.check(min_executed=0)
    assert stack.outcomes.words("ann") == ["expired/sequence_halted"]


def test_first_step_is_adopted_by_policy(make_stack):
    stack = make_stack(ordering={"first_step": "adopt"})
    stack.feed.step("ann", "drip", 7)
    stack.feed.step("ann", "drip", 8)
    stack.instance().start()
    stack.check(min_executed=2)
    stack.feed.step("ann", "drip", 6)
    stack.settle()
    assert stack.outcomes.words("ann") == ["sent/accepted", "sent/accepted", "dead_lettered/late_step"]


def test_a_step_that_ends_before_its_turn_halts_by_policy(make_stack):
    stack = make_stack(ordering={"on_not_sent": "halt", "max_halt_ms": 1500})
    stack.feed.step("ann", "drip", 1, send_at=now(2000))
    stack.feed.step("ann", "drip", 2, expires_at=now(800))
    stack.feed.step("ann", "drip", 3)
    stack.instance().start()
    stack.check(min_executed=1)
    # The second one ends first, while it waits.
    assert stack.outcomes.words("ann") == ["expired/ttl_passed", "sent/accepted", "expired/sequence_halted"]


@pytest.mark.parametrize("policy,expected", [
    ("advance", ["failed/rejected_by_provider", "sent/accepted"]),
    ("halt", ["failed/rejected_by_provider", "expired/sequence_halted"])])
def test_a_refused_step_advances_or_halts_its_sequence(make_stack, policy, expected):
    stack = make_stack(faults={"reject": 1}, ordering={"on_not_sent": policy, "max_halt_ms": 1500})
    stack.feed.step("ann", "drip", 1)
    stack.instance().start()
    stack.settle()
    stack.sandbox.heal()
    stack.feed.step("ann", "drip", 2)
    stack.feed.send("ann", "other")  # a halted sequence holds nothing else back
    stack.check(min_executed=1)
    sequenced = [row for row in stack.outcomes.of("ann") if row.get("sequence")]
    assert [f"{row['outcome']}/{row['reason']}" for row in sequenced] == expected
