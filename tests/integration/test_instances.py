"""Several instances: takeover, rolling restart, and the zombie that wakes after losing its partitions."""

import signal
import threading
import time

import pytest

from harness import Stack, eventually, http
from kafka_node import Cluster

FAST_GROUP = {"session_timeout_ms": 2000, "group_instance_id": None, "librdkafka": {"heartbeat.interval.ms": 300}}


def feed_slowly(stack, people, stop, per_second=400):
    def run():
        for i in range(people):
            if stop.is_set():
                return
            for step in (1, 2):
                stack.feed.step(f"user-{i}", "drip", step)
            if i % 20 == 0:
                time.sleep(20 * 2 / per_second)
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("idempotency", ["header", "none"])
def test_two_instances_one_killed(make_stack, idempotency):
    stack = make_stack(kafka=FAST_GROUP, faults={"latency_ms": 30}, ordering={"min_spacing_ms": 20},
                       provider={"idempotency": idempotency, "timeout_ms": 800},
                       dispatch={"intent_deadline_ms": 500})
    a = stack.instance("a", kafka={"group_instance_id": None}).start()
    b = stack.instance("b", kafka={"group_instance_id": None}).start()
    stop = threading.Event()
    thread = feed_slowly(stack, 800, stop)
    time.sleep(2)
    b.kill9()
    time.sleep(1)
    thread.join(60)
    stop.set()
    report = stack.check(settle=90, min_executed=1000, on_ambiguous="halt") if idempotency == "header" else \
        settle_with_halts(stack)
    print(report.figures)
    assert report.figures["ambiguous"] <= (0 if idempotency == "header" else 64)
    a.terminate()


def settle_with_halts(stack):
    """Without keys, steps after an ambiguous one wait for days: judge what ended, let those be."""
    stack.feed.flush()
    ambiguous = {}

    def all_but_halted(outcomes):
        ambiguous.clear()
        for row in outcomes.all:
            if row.get("outcome") == "ambiguous" and row.get("sequence", {}).get("step") == 1:
                ambiguous[row["recipient_id"]] = row
        return len(outcomes.by_input) >= stack.feed.sends - len(ambiguous)

    stack.outcomes.wait_for("all but the halted steps ended", all_but_halted, 90)
    report = stack.report(min_executed=500)
    assert set(report.counts) <= {"omission"}, report.to_dict()["violations"][:5]
    missing = {violation.recipient for violation in report.violations}
    assert missing <= set(ambiguous)
    return report


def test_rolling_restart(make_stack):
    stack = make_stack(faults={"latency_ms": 20}, ordering={"min_spacing_ms": 20},
                       provider={"idempotency": "none", "timeout_ms": 2000})
    instances = [stack.instance(name).start() for name in "ab"]
    stop = threading.Event()
    thread = feed_slowly(stack, 900, stop)
    for _ in range(2):
        for instance in instances:
            time.sleep(0.5)
            instance.terminate()
            instance.start()
    thread.join(60)
    stop.set()
    report = stack.check(settle=90, min_executed=1800)
    assert report.outcome_count("sent") == 1800, "a graceful restart left messages in doubt"
    for instance in instances:
        instance.terminate()


@pytest.mark.parametrize("idempotency", ["header", "none"])
def test_zombie_sends_nothing_after_losing_its_partitions(make_stack, idempotency):
    """A is stopped with requests on the wire and as many that wait for it, B takes over and finishes, A wakes."""
    stack = make_stack(kafka=FAST_GROUP, faults={"latency_ms": 150, "latency_jitter_ms": 100},
                       provider={"idempotency": idempotency, "timeout_ms": 800, "max_in_flight": 12},
                       dispatch={"intent_deadline_ms": 500, "max_in_flight": 32})
    a = stack.instance("a", kafka={"group_instance_id": None}).start()
    for i in range(600):
        stack.feed.send(f"user-{i}", "m")
    stack.feed.flush()
    a.may_end = True
    eventually("A is sending", lambda: len(stack.sandbox.requests()) > 100)
    a.signal(signal.SIGSTOP)
    b = stack.instance("b", kafka={"group_instance_id": None}).start(ready=False)
    stack.settle(120)
    before = stack.sandbox.executed()
    a.signal(signal.SIGCONT)
    time.sleep(3)
    after = stack.sandbox.executed()
    assert len(after) == len(before), "the zombie sent"
    report = stack.check(min_executed=500)
    assert report.outcome_count("sent") >= 560
    assert report.outcome_count("ambiguous") <= (0 if idempotency == "header" else 32)
    # A either found its way back into the group or ended on purpose; what B does must not depend on it.
    for i in range(50):
        stack.feed.send(f"user-{i}", "m2")
    stack.check(min_executed=550)
    b.terminate()
    if a.alive:
        a.terminate()


def test_zombie_wakes_while_the_other_is_still_sending(make_stack):
    stack = make_stack(kafka=FAST_GROUP, faults={"latency_ms": 60, "latency_jitter_ms": 60},
                       ordering={"min_spacing_ms": 20},
                       provider={"timeout_ms": 800}, dispatch={"intent_deadline_ms": 500, "max_in_flight": 32})
    a = stack.instance("a", kafka={"group_instance_id": None}).start()
    b = stack.instance("b", kafka={"group_instance_id": None}).start()
    for i in range(1200):
        stack.feed.step(f"user-{i}", "drip", 1)
        stack.feed.step(f"user-{i}", "drip", 2)
    stack.feed.flush()
    a.may_end = b.may_end = True
    eventually("both are sending", lambda: len(stack.sandbox.requests()) > 200)
    for sleeper in (a, b, a):
        sleeper.signal(signal.SIGSTOP)
        time.sleep(3)
        sleeper.signal(signal.SIGCONT)
        time.sleep(1.5)
        if not sleeper.alive:
            sleeper.start(ready=False)
    report = stack.check(settle=120, min_executed=2000)
    print(report.figures)


def test_a_missing_permission_ends_with_77_and_names_the_topic(tmp_path):
    cluster = Cluster(str(tmp_path / "kafka"), properties="""\
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
""")
    stack = None
    try:
        stack = Stack(cluster.start().bootstrap, tmp_path, "acl")
        letters = ["--topic", stack.topics["dead_letters"]]
        cluster.acl("--add", "--allow-principal", "User:*", "--operation", "All", *letters)
        a = stack.instance("a").start()
        a.may_end = True
        denied = ["--deny-principal", "User:*", "--operation", "Write", *letters]
        cluster.acl("--add", *denied)
        stack.feed.raw("sends", b"ann", b"{")
        stack.feed.send("ann", "m")
        stack.feed.flush()
        assert a.wait() == 77
        last = [line for line in a.logs().splitlines() if '"level":"error"' in line][-1]
        assert "authorization" in last.lower() and stack.topics["ledger"] not in last, last
        cluster.acl("--remove", "--force", *denied)
        a.start()
        stack.check(min_executed=1)
    finally:
        if stack:
            stack.close()
        cluster.stop()


def test_two_groups_on_one_ledger_fence_each_other(make_stack):
    """Fencing goes by the ledger, not by the group: blue/green must not send twice."""
    stack = make_stack(faults={"latency_ms": 40}, dispatch={"max_in_flight": 16})
    blue = stack.instance("blue").start()
    for i in range(1000):
        stack.feed.send(f"user-{i}", "m")
    stack.feed.flush()
    eventually("blue is sending", lambda: len(stack.sandbox.requests()) > 50)
    green = stack.instance("green", kafka={"group_id": stack.topics["sends"] + ".green"}).start(ready=False)
    time.sleep(4)
    # Whoever was fenced three times gives up, which may be both.
    assert blue.alive or blue.wait() == 70, blue.logs()
    assert green.alive or green.wait() == 70, green.logs()
    assert "fenced by a newer instance" in blue.logs() + green.logs()
    if green.alive:
        green.kill9()
        time.sleep(1)
    if not blue.alive:
        blue.start(ready=False)
    stack.outcomes.wait_for("every input has an outcome", lambda o: len(o.by_input) >= 1000, 90)
    report = stack.report()
    assert report.verdict == "HELD", report.to_dict()["violations"][:5]


def test_a_static_member_outlives_a_restart_of_its_broker(tmp_path):
    """Its first request to join may be answered after it has asked again, and then it is fenced by itself."""
    cluster = Cluster(str(tmp_path / "kafka"))
    directory = tmp_path / "stack"
    directory.mkdir()
    try:
        stack = Stack(cluster.start().bootstrap, directory, "static")
        try:
            instance = stack.instance(kafka={"group_instance_id": "the-only-one"}).start()
            for restart in range(3):
                for number in range(200):
                    stack.feed.send(f"user-{number}", f"m-{restart}")
                time.sleep(0.5)
                cluster.nodes[0].stop()
                cluster.nodes[0].start()
                cluster.wait_ready(90)
                done = len(stack.sandbox.executed())
                for number in range(200):
                    stack.feed.send(f"user-{number}", f"after-{restart}")
                eventually("mail goes again, or the instance has ended",
                           lambda: not instance.alive or len(stack.sandbox.executed()) > done, 60)
                assert instance.alive, instance.logs()
        finally:
            stack.close()
    finally:
        cluster.stop()


def test_who_lost_the_group_is_not_ready_until_it_is_back(tmp_path):
    cluster = Cluster(str(tmp_path / "kafka"))
    directory = tmp_path / "stack"
    directory.mkdir()
    try:
        stack = Stack(cluster.start().bootstrap, directory, "lost")
        try:
            instance = stack.instance(kafka=FAST_GROUP).start()
            cluster.nodes[0].signal(signal.SIGSTOP)
            eventually("not ready", lambda: not instance.ready())
            assert "failed group joined" in http("GET", instance.telemetry + "/readyz")[1]
            # What a rule tells a partition without an owner by.
            eventually("no partition is here", lambda: instance.metric("postlane_partition_state") == 0)
            assert instance.metric("postlane_partitions") == 4
            cluster.nodes[0].signal(signal.SIGCONT)
            instance.wait_ready(60)
            assert instance.metric("postlane_partition_state") == 4
            instance.terminate()
        finally:
            stack.close()
    finally:
        cluster.stop()
