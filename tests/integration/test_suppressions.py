"""Nobody is mailed after unsubscribing: by recipient, by address, misrouted, while sending, under faults."""

import json
import random
import time

import pytest
from checker_events import partition_of
from checker_facts import read_topic
from confluent_kafka import Producer
from harness import eventually, now


def test_race_of_thousands_of_unsubscribes_with_a_running_campaign(make_stack):
    stack = make_stack(faults={"latency_ms": 20, "latency_jitter_ms": 20, "error_5xx": 0.02, "throttle": 0.02},
                       ordering={"min_spacing_ms": 20, "on_ambiguous": "advance"}, dispatch={"max_in_flight": 48})
    people = [f"user-{i}" for i in range(2500)]
    order = random.Random(5)
    stack.instance().start()
    for who in people:
        for step in (1, 2):
            stack.feed.step(who, "drip", step, category="marketing")
    leaving = order.sample(people, 2000)
    half = len(leaving) // 2
    for number, who in enumerate(leaving):
        if number < half:
            stack.feed.suppress(who)
        else:
            stack.feed.suppress_address(f"{who}@example.com")
        if number % 20 == 0:
            time.sleep(0.05)
        if number % 200 == 0:  # acknowledged before the event is produced: must never go out
            stack.feed.flush()
            stack.feed.send(who, "after-unsubscribing", category="marketing")
    report = stack.check(settle=120, min_executed=500, min_suppressed=100)
    assert report.outcome_count("sent") >= 500
    late = [row for who in leaving[::200] for row in stack.outcomes.of(who, "after-unsubscribing")]
    assert len(late) == 10 and all(row["outcome"] == "suppressed_at_send" for row in late)
    margin = report.figures["largest_suppression_margin_ms"]
    print(f"largest time from an acknowledged suppression to a request: {margin} ms")


def test_suppressions_known_before_the_first_start_hold(make_stack):
    stack = make_stack()
    feed = stack.feed
    feed.suppress("ann")
    feed.suppress("bob", scope={"category": "news"})
    feed.suppress("cid", reason="complaint")
    feed.suppress("dora", reason="soft_bounce", occurred_at=now(-10_000), expires_at=now(-5_000))
    feed.suppress("eve", scope={"sequence": "drip"})
    feed.suppress_address("fred@Example.COM", key="fred@Example.COM")
    feed.flush()
    for who in ("ann", "bob", "cid", "dora", "eve"):
        feed.send(who, "marketing", category="marketing")
        feed.send(who, "news", category="news")
        feed.send(who, "receipt", category="transactional")
        feed.step(who, "drip", 1, category="marketing")
    for who in ("fred", "alias-of-fred"):  # one address, two recipients
        feed.send(who, "m", to={"email": "Fred@EXAMPLE.com"})
    instance = stack.instance().start()
    stack.check(min_executed=8, min_suppressed=8)
    lags = [value for series, value in instance.metrics().items()
            if series.startswith("postlane_partition_lag_records") and "address-suppressions" in series]
    assert len(lags) == 2 and not any(lags), lags

    # What was forwarded ends with a marker of the transaction, which is no input.
    feed.suppress("gus", partition=stack.elsewhere("gus"))
    feed.flush()
    stack.outcomes.wait_for("both receipts", lambda o: len(
        [row for row in o.all if row.get("type") == "suppression" and row.get("recipient_id") == "gus"]) == 2)
    time.sleep(1)  # by then the metrics are of later than that
    eventually("nothing is left to read", lambda: not any(
        value for series, value in instance.metrics().items() if series.startswith("postlane_partition_lag_records")))

    def sent(who):
        return sorted(row["message_id"] for row in stack.outcomes.of(who) if row["outcome"] == "sent")

    assert sent("ann") == ["receipt"]
    assert sent("bob") == ["marketing", "receipt", "sequence:drip:1"]
    assert sent("cid") == []
    assert sent("dora") == ["marketing", "news", "receipt", "sequence:drip:1"]
    assert sent("eve") == ["marketing", "news", "receipt"]
    assert sent("fred") == sent("alias-of-fred") == []
    why = stack.outcomes.of("bob", "news")[0]
    assert why["suppression"]["scope"] == "category:news" and why["suppression"]["by"] == "recipient"
    assert why["checked"] == "acceptance" and why["attempts"] == 0
    assert stack.outcomes.of("fred")[0]["suppression"]["by"] == "address"


def test_resubscribing_and_receipts(make_stack):
    stack = make_stack()
    feed = stack.feed
    feed.suppress("ann", occurred_at=now(-5000))
    feed.suppress("ann", action="unsuppress", occurred_at=now(-4000))
    feed.suppress("ann", occurred_at=now(-4500))                          # older than the resubscription
    feed.suppress("bob", reason="complaint", occurred_at=now(-5000))
    feed.suppress("bob", action="unsuppress", occurred_at=now(-4000))     # lifts no complaint
    feed.suppress("cid", occurred_at="2026-01-01T00:00:00Z")
    feed.suppress("cid", action="unsuppress", occurred_at="2026-01-01T00:00:00Z")  # a tie: stays suppressed
    feed.flush()
    for who in ("ann", "bob", "cid"):
        feed.send(who, "m")
    stack.instance().start()
    stack.check(min_executed=1, min_suppressed=2)
    assert stack.outcomes.words("ann") == ["sent/accepted"]
    results = {}
    for row in sorted(stack.outcomes.receipts.values(), key=lambda row: row["input"]["offset"]):
        assert row["input"]["topic"] == stack.topics["suppressions"]
        results.setdefault(row["recipient_id"], []).append(row["result"])
    assert results["ann"] == ["applied", "applied", "superseded"]
    assert results["bob"][0] == results["cid"][0] == "applied"


@pytest.mark.parametrize("topic", ["suppressions", "address_suppressions"])
def test_a_resubscription_from_the_future_defeats_no_later_suppression(make_stack, topic):
    stack = make_stack()
    feed = stack.feed
    key, who = ("ann", {"recipient_id": "ann"}) if topic == "suppressions" else (
        "ann@example.com", {"email": "ann@example.com"})
    stack.instance().start()
    feed.send("clock", "m")
    stack.settle()  # broker time is known now
    ahead = 40 * 60_000  # a producer's clock; the broker takes up to an hour
    feed.raw(topic, key.encode(), json.dumps({**who, "action": "unsuppress", "reason": "unsubscribe",
                                              "occurred_at": now(ahead)}).encode(),
             timestamp_ms=int(time.time() * 1000) + ahead)
    feed.flush()
    time.sleep(2.5)
    feed.raw(topic, key.encode(), json.dumps({**who, "action": "suppress", "reason": "unsubscribe",
                                              "occurred_at": now()}).encode())
    feed.flush()
    feed.send("ann", "m")
    stack.settle()
    assert stack.outcomes.words("ann") == ["suppressed_at_send/suppressed"]


def test_a_misrouted_suppression_is_forwarded_and_holds(make_stack):
    stack = make_stack()
    people = [f"user-{i}" for i in range(40)]
    for who in people:
        stack.feed.suppress(who, partition=stack.elsewhere(who))
    instance = stack.instance().start()
    stack.settle()
    eventually("every forwarded suppression arrived", lambda: sum(
        partition_of(record.key, stack.partitions) == record.partition
        for record in read_topic(stack.bootstrap, stack.topics["suppressions"])) == len(people))
    stack.outcomes.wait_for("receipts of both", lambda o: len(o.receipts) == 2 * len(people))
    assert sorted(row["result"] for row in stack.outcomes.receipts.values()) == \
        ["applied"] * len(people) + ["forwarded"] * len(people)
    for who in people:
        stack.feed.send(who, "m")
    stack.feed.send("free", "m")
    stack.check(min_executed=1, min_suppressed=len(people))
    instance.terminate()


def test_an_unsubscribe_stops_the_retries_of_a_message(make_stack):
    stack = make_stack(faults={"throttle": 1, "retry_after_s": 1})
    stack.instance().start()
    for i in range(50):
        stack.feed.send(f"user-{i}", "m")
    eventually("every message was tried", lambda: len({r["recipient_id"] for r in stack.sandbox.requests()}) == 50)
    for i in range(40):
        stack.feed.suppress(f"user-{i}")
    stack.feed.flush()
    time.sleep(1)
    stack.sandbox.heal()
    report = stack.check(min_executed=10, min_suppressed=40)
    assert report.outcome_count("sent") == 10
    for i in range(40):
        assert stack.outcomes.of(f"user-{i}")[0]["checked"] == "attempt"


def test_a_hung_transaction_on_the_suppressions_fails_closed(make_stack):
    """The end of the partition is beyond what can be read: nothing is proven fresh, so nothing is sent."""
    stack = make_stack(partitions=2)
    stack.instance().start()
    stack.feed.send("warm", "up")
    stack.settle()
    foreign = Producer({"bootstrap.servers": stack.bootstrap, "transactional.id": stack.topics["sends"] + ".foreign",
                        "transaction.timeout.ms": 60000, "partitioner": "murmur2_random"})
    foreign.init_transactions(20)
    foreign.begin_transaction()
    who = "hung"
    foreign.produce(stack.topics["suppressions"], key=who.encode(), partition=stack.partition_of(who),
                    value=b'{"action": "suppress", "reason": "complaint", "occurred_at": "2026-01-01T00:00:00Z"}')
    foreign.flush(10)
    stack.feed.suppressions += 1
    time.sleep(0.5)
    stack.feed.send(who, "m")
    stack.feed.flush()
    time.sleep(2)
    stack.outcomes.poll()
    assert not stack.outcomes.of(who), "decided although the suppressions cannot be read to their end"
    foreign.commit_transaction(20)
    stack.check(min_executed=1, min_suppressed=1)


def test_a_hung_transaction_on_the_address_suppressions_is_told(make_stack):
    """It holds up the mail of every partition, and no client reports an error."""
    stack = make_stack()
    instance = stack.instance().start()
    foreign = Producer({"bootstrap.servers": stack.bootstrap, "transactional.id": stack.topics["sends"] + ".foreign"})
    foreign.init_transactions(20)
    foreign.begin_transaction()
    foreign.produce(stack.topics["address_suppressions"], key="ann@example.com", value="{}", partition=0)
    foreign.flush(10)
    time.sleep(0.5)
    stack.feed.send("ann", "m")
    eventually("the standstill is told", lambda: instance.logs().count("freshness.stale") == 4, 40)
    assert stack.topics["address_suppressions"] in instance.logs()
    assert not stack.sandbox.executed()
    foreign.abort_transaction(20)
    eventually("its end is told", lambda: instance.logs().count("freshness.fresh") == 4)
    stack.check(min_executed=1)
    assert instance.logs().count("freshness.stale") == 4
