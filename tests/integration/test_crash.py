"""kill -9, lost state, full disks and an ailing ESP: nothing twice, nothing lost, nothing out of order."""

import os
import random
import shutil
import signal
import threading
import time

import pytest

from harness import delete_group, delete_topics, eventually, free_ports, now

KILLS = int(os.environ.get("POSTLANE_TEST_KILLS", "30"))
FAULTS = {"latency_ms": 10, "latency_jitter_ms": 40, "error_5xx": 0.03, "accept_then_drop": 0.03,
          "accept_then_hang": 0.01, "throttle": 0.03, "drop_before": 0.02}
QUICK = {"intent_deadline_ms": 500, "max_in_flight": 48, "drain_timeout_ms": 3000}


def campaign(stack, stop, people, seed):
    """Produces sends, repeated sends and unsubscribes until `stop` is set or everything is produced."""
    order = random.Random(seed)
    steps = [(f"user-{i}", step) for i in range(people) for step in (1, 2, 3)]
    order.shuffle(steps)
    sent = []
    for number, (who, step) in enumerate(steps):
        if stop.is_set():
            break
        route = "unkeyed" if int(who[5:]) % 10 == 0 else "default"
        sent.append((who, stack.feed.step(who, "drip", step, route=route, category="marketing")))
        if number % 17 == 0:
            who, event = order.choice(sent)
            stack.feed.send(who, **{name: value for name, value in event.items()})
        if number % 29 == 0:
            stack.feed.suppress(f"user-{order.randrange(people)}")
        if number % 31 == 0:
            stack.feed.suppress_address(f"user-{order.randrange(people)}@example.com")
        if number % 10 == 0:
            time.sleep(0.04)


def test_kill_9_in_a_loop_under_faults_of_the_esp(make_stack):
    """≥ 30 kills at random instants, some of them while restoring. A route without idempotency keys is in it too."""
    stack = make_stack(faults={**FAULTS, "seed": 11}, dispatch=QUICK,
                       ordering={"min_spacing_ms": 20, "max_wait_ms": 600_000, "max_halt_ms": 3000})
    providers = [dict(stack.base["providers"][0], timeout_ms=800)]
    providers.append(dict(providers[0], name="plain", idempotency="none"))
    routes = [stack.base["routes"][0], dict(stack.base["routes"][0], name="unkeyed", providers=["plain"])]
    instance = stack.instance(providers=providers, routes=routes)
    stop = threading.Event()
    producer = threading.Thread(target=campaign, args=(stack, stop, 1500, 3), daemon=True)
    producer.start()
    order, while_restoring = random.Random(4), 0
    try:
        for kill in range(KILLS):
            early = kill % 6 == 5
            instance.start(ready=not early)
            time.sleep(order.uniform(0.02, 0.3) if early else order.uniform(0.05, 1.0))
            while_restoring += not instance.ready()
            assert instance.alive, f"ended by itself before kill {kill}\n{instance.logs()}"
            instance.kill9()
        instance.start()
        producer.join(60)
    finally:
        stop.set()
    assert not producer.is_alive()
    eventually("the last faults fired", lambda: stack.sandbox.stats(), 5)
    stack.sandbox.heal()
    report = stack.check(settle=150, min_executed=1000, min_suppressed=20, min_requests_by_fault={
        name: 5 for name in ("error_5xx", "accept_then_drop", "accept_then_hang", "throttle", "drop_before")})
    print(f"{KILLS} kills ({while_restoring} while restoring): {report.figures}")
    # Credit before intent: a crash leaves only what was on the wire in doubt, and keys resolve that.
    keyed = [row for row in stack.outcomes.all if row.get("outcome") == "ambiguous" and row["route"] == "default"
             and row["reason"] not in ("suppressed_while_in_doubt", "expired_while_in_doubt")]
    assert not keyed, keyed[:3]
    instance.terminate()


@pytest.mark.parametrize("lost", ["wiped", "stale copy"])
def test_local_state_lost_or_older_than_the_ledger(make_stack, lost):
    stack = make_stack(faults={"latency_ms": 5})
    instance = stack.instance().start()
    directory = os.path.join(stack.directory, "ledger-a")
    for i in range(100):
        stack.feed.step(f"user-{i}", "drip", 1)
        stack.feed.step(f"user-{i}", "drip", 3)  # held: must survive in the ledger topic
    stack.outcomes.wait_for("the first steps", lambda o: len(o.by_input) >= 100)
    instance.terminate()
    shutil.copytree(directory, directory + ".old")
    instance.start()
    for i in range(100):
        stack.feed.send(f"user-{i}", "m")
    stack.outcomes.wait_for("the messages", lambda o: len(o.by_input) >= 200)
    instance.kill9()
    shutil.rmtree(directory)
    if lost == "stale copy":
        shutil.move(directory + ".old", directory)
    instance.start()
    for i in range(100):
        stack.feed.send(f"user-{i}", "m")
        stack.feed.step(f"user-{i}", "drip", 2)
    report = stack.check(min_executed=400)
    assert report.outcome_count("sent") == 400 and report.outcome_count("duplicate") == 100


def test_local_state_damaged_is_set_aside_and_rebuilt(make_stack):
    stack = make_stack()
    instance = stack.instance().start()
    for i in range(100):
        stack.feed.send(f"user-{i}", "m")
    stack.settle()
    instance.kill9()
    damaged = 0
    for folder, _, names in os.walk(os.path.join(stack.directory, "ledger-a")):
        for name in names:
            if name.startswith("MANIFEST") or name.endswith((".sst", ".log")):
                with open(os.path.join(folder, name), "r+b") as file:
                    file.write(b"\xde\xad\xbe\xef" * 16)
                damaged += 1
    assert damaged
    instance.start()
    for i in range(100):
        stack.feed.send(f"user-{i}", "m")
    report = stack.check(min_executed=100)
    assert report.outcome_count("duplicate") == 100
    instance.terminate()


@pytest.mark.parametrize("end", ["terminate", "kill9"])
def test_ledger_topic_lost_refuses_to_run(make_stack, end):
    """Going on would send everything again. The group's offsets tell it, however short the life before was."""
    stack = make_stack()
    instance = stack.instance().start()
    for i in range(50):
        stack.feed.send(f"user-{i}", "m")
    stack.settle()
    time.sleep(0.5)  # the group's offsets follow the first commit by a moment
    getattr(instance, end)()
    executed = len(stack.sandbox.executed())
    delete_topics(stack.bootstrap, [stack.topics["ledger"]])
    stack.create_topic("ledger")
    instance.spawn()
    assert instance.wait(30) == 78, instance.logs()
    assert "ledger_missing" in instance.logs()
    shutil.rmtree(os.path.join(stack.directory, "ledger-a"))
    instance.spawn()  # nor without the local state
    assert instance.wait(30) == 78, instance.logs()
    assert len(stack.sandbox.executed()) == executed


def test_a_ledger_begun_anew_is_not_mixed_with_the_old_store(make_stack):
    """Another instance has begun it, then the one with the old store comes back. What its store has seen of the old
    ledger says nothing about this one, though the offsets would fit."""
    stack = make_stack(provider={"idempotency": "none"})  # an ESP with keys would hide the repeats
    old = stack.instance("a").start()
    for i in range(50):
        stack.feed.send(f"user-{i}", "m")
    stack.settle()
    old.terminate()
    delete_topics(stack.bootstrap, [stack.topics["ledger"]])
    stack.create_topic("ledger")
    delete_group(stack.bootstrap, stack.base["kafka"]["group_id"])
    new = stack.instance("b", kafka={"initial_offset": "latest"}).start()
    for i in range(12):
        stack.feed.send(f"user-{i}", "after the loss")
    stack.settle()
    new.terminate()
    assert len(stack.sandbox.executed()) == 62
    old.start()
    for i in range(12):
        stack.feed.send(f"user-{i}", "after the loss")
    stack.settle()
    assert len(stack.sandbox.executed()) == 62
    old.terminate()


def test_full_disk_stops_sending_and_loses_nothing(make_stack):
    """Writes beyond a file size fail as they do on a full disk."""
    stack = make_stack(faults={"latency_ms": 2})
    limited = stack.instance("a", process={"fsize_limit": 96 * 1024}).start()
    for i in range(6000):
        stack.feed.send(f"user-{i}", "m" * 300)
    stack.feed.flush()

    def stuck_or_done():
        stack.outcomes.poll()
        return not limited.alive or len(stack.outcomes.by_input) >= 6000
    eventually("the limit is hit", stuck_or_done, 60)
    assert not limited.alive, "the disk never became full: the scenario proves nothing"
    assert limited.process.returncode == 74, limited.logs()
    limited.may_end = True
    unlimited = stack.instance("b", kafka={"group_instance_id": "static-a"}).start()
    stack.check(settle=90, min_executed=6000)
    unlimited.terminate()


def test_sigterm_drains_what_is_in_flight(make_stack):
    stack = make_stack(faults={"latency_ms": 700}, provider={"idempotency": "none", "timeout_ms": 3000})
    instance = stack.instance().start()
    for i in range(300):
        stack.feed.send(f"user-{i}", "m")
    stack.feed.flush()
    eventually("requests are on the wire", lambda: len(stack.sandbox.requests()) >= 20)
    started = time.monotonic()
    instance.terminate(timeout=10)
    assert time.monotonic() - started < 6
    instance.start()
    report = stack.check(min_executed=300)
    assert report.outcome_count("sent") == 300, "a graceful stop left messages in doubt"


def test_sigterm_before_the_brokers_answer_ends_it(make_stack):
    stack = make_stack()
    instance = stack.instance(kafka={"bootstrap_servers": [f"127.0.0.1:{free_ports(1)[0]}"]}).spawn()
    eventually("it has begun", lambda: "instance.starting" in instance.logs())
    instance.terminate(timeout=10)
    assert "stopped_before_start" in instance.logs()


def test_second_sigterm_or_sigint_also_ends_it(make_stack):
    stack = make_stack()
    instance = stack.instance().start()
    instance.signal(signal.SIGINT)
    assert instance.wait(15) == 0, instance.logs()


@pytest.mark.parametrize("mode,idempotency", [("503", "header"), ("close", "none"), ("hang", "none")])
def test_outage_of_the_esp_puts_few_messages_in_doubt(make_stack, mode, idempotency):
    """The circuit opens: the rest stays ready, and is sent when the ESP is back."""
    stack = make_stack(provider={"idempotency": idempotency, "timeout_ms": 500}, faults={"latency_ms": 5})
    instance = stack.instance().start()
    stack.feed.send("warm", "up")
    stack.settle()
    stack.sandbox.faults(outage=True, outage_mode=mode)
    for i in range(600):
        stack.feed.send(f"user-{i}", "m", send_at=now(0))
    stack.feed.send("doomed", "m", expires_at=now(2000))
    stack.feed.flush()
    time.sleep(4)
    attempts = len(stack.sandbox.requests())
    assert attempts < 200, f"{attempts} requests to an ESP that is down"
    stack.sandbox.heal()
    report = stack.check(settle=90, min_executed=400)
    assert report.outcome_count("ambiguous") <= (0 if idempotency == "header" else 100), report.outcomes
    assert report.outcome_count("expired") + report.outcome_count("ambiguous") >= 1
    assert instance.metric("postlane_send_attempts_total") >= 600


def test_refused_credentials_open_the_circuit_and_count_no_attempt(make_stack):
    stack = make_stack(faults={"unauthorized": True}, dispatch={"max_attempts": 3})
    instance = stack.instance().start()
    for i in range(100):
        stack.feed.send(f"user-{i}", "m")
    stack.feed.flush()
    time.sleep(3)
    assert len(stack.sandbox.requests()) < 100  # one burst before the first answers, then single probes
    assert "provider.circuit_open" in instance.logs() and "it answered HTTP 401" in instance.logs()
    stack.sandbox.heal()
    report = stack.check(min_executed=100)
    assert "provider.circuit_closed" in instance.logs()
    assert report.outcome_count("sent") == 100
    assert {row["attempts"] for row in stack.outcomes.all if row.get("outcome") == "sent"} == {1}


def test_retries_end_as_failed_or_ambiguous(make_stack):
    stack = make_stack(faults={"throttle": 1, "retry_after_s": 0}, dispatch={"max_attempts": 3})
    stack.instance().start()
    stack.feed.send("throttled", "m")
    stack.settle(90)
    assert stack.outcomes.words("throttled") == ["failed/retries_exhausted"]
    assert stack.outcomes.of("throttled")[0]["attempts"] == 3
    stack.sandbox.heal()
    stack.sandbox.faults(error_5xx=1, error_5xx_executes=True)
    stack.feed.send("executed", "m")
    stack.settle(90)
    # The ESP answers a replayed key from its memory: 5xx for ever, though it sent. Never a new key, never `failed`.
    assert stack.outcomes.words("executed") in (["ambiguous/retries_exhausted"], ["sent/accepted"])
    assert stack.report().of("executed_twice", "executed_not_sent", "key_changed") == 0
