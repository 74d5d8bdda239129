"""Starts postlane, the sandbox ESP and topics for one scenario, feeds them, waits, and has the checker judge.

Everything waits with a bound, everything started is ended, and every log stays in the test's folder.
"""

import contextlib
import copy
import itertools
import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.error
import urllib.request

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from checker import check_run, render
from checker_events import partition_of
from checker_facts import Policy, partition_counts, read_topic
from kafka_node import REPOSITORY, free_ports

BINARY = os.environ.get("POSTLANE_BINARY") or os.path.join(REPOSITORY, "build", "postlane")
SANDBOX = os.environ.get("POSTLANE_SANDBOX")  # default: `postlane sandbox`
KEEP_TOPICS = os.environ.get("POSTLANE_TEST_KEEP_TOPICS") is not None
SLOW = float(os.environ.get("POSTLANE_TEST_SLOWNESS", "1"))  # e.g. 5 under a sanitizer


def eventually(what, condition, timeout=20.0, interval=0.05):
    """Waits until `condition()` is true and returns its value; fails with `what` after the timeout."""
    deadline = time.monotonic() + timeout * SLOW
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout * SLOW:g} s: {what}"
        time.sleep(interval)


def http(method, url, body=None, headers=None, timeout=5):
    """-> (status, text); status 0 if nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, str(error)


def tail_of(path, lines=60):
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            return "".join(text.readlines()[-lines:])
    except OSError:
        return ""


def merged(base, changes):
    """`base` with `changes` laid over it, section by section; a value of None removes the key."""
    result = copy.deepcopy(base)
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = value
    return result


def _toml_value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(_toml_value(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml_value(item)}" for name, item in value.items()) + "}"
    return json.dumps(value)


def to_toml(document):
    """Enough TOML for a configuration file of postlane: top-level values, tables, arrays of tables."""
    lines = [f"{name} = {_toml_value(value)}" for name, value in document.items()
             if not isinstance(value, (dict, list))]
    for name, value in document.items():
        if isinstance(value, list):
            for item in value:
                lines += ["", f"[[{name}]]"] + [f"{key} = {_toml_value(x)}" for key, x in item.items()]
        elif isinstance(value, dict):
            lines += ["", f"[{name}]"]
            lines += [f"{key} = {_toml_value(x)}" for key, x in value.items() if not isinstance(x, dict)]
            for sub, table in value.items():
                if isinstance(table, dict):
                    lines += [f"[{name}.{sub}]"] + [f"{json.dumps(key)} = {_toml_value(x)}"
                                                    for key, x in table.items()]
    return "\n".join(lines) + "\n"


def create_topics(bootstrap, topics, partitions, replication=1, changes=None, only=None):
    """The contract's topics. `changes` replaces settings: {"ledger": {"partitions": 2, "config": {…}}}; `only` names
    the ones to create."""
    ledger = {"cleanup.policy": "compact", "message.timestamp.type": "LogAppendTime",
              "delete.retention.ms": "604800000", "segment.ms": "86400000", "max.compaction.lag.ms": "86400000"}
    keep = {"cleanup.policy": "delete", "retention.ms": "-1"}
    specs = {name: {"partitions": partitions, "config": dict(keep)} for name in topics}
    specs["address_suppressions"]["partitions"] = min(2, partitions)
    specs["ledger"]["config"] = ledger
    specs["control"] = {"partitions": 1, "config": {"cleanup.policy": "compact"}}
    for name, change in (changes or {}).items():
        specs[name] = merged(specs[name], change)
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    wanted = [NewTopic(topics[name], spec["partitions"], replication, config=spec["config"])
              for name, spec in specs.items() if only is None or name in only]
    for future in admin.create_topics(wanted, operation_timeout=20).values():
        future.result(20)
    names = {topic.topic for topic in wanted}
    eventually("topics exist", lambda: names <= set(admin.list_topics(timeout=10).topics), 20)


def delete_topics(bootstrap, names):
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    for future in admin.delete_topics(names, operation_timeout=20).values():
        future.result(20)
    eventually("topics are gone", lambda: not set(names) & set(admin.list_topics(timeout=10).topics), 20)


def delete_group(bootstrap, group):
    """A consumer group without members, with its offsets. Spoken by hand: DeleteGroups, version 0, to whichever broker
    coordinates it; Debian's client cannot."""
    name = struct.pack(">h", len(group)) + group.encode()
    request = struct.pack(">hhih", 42, 0, 1, -1) + struct.pack(">i", 1) + name

    def deleted():
        for address in bootstrap.split(","):
            host, port = address.rsplit(":", 1)
            with contextlib.suppress(OSError, struct.error), \
                    socket.create_connection((host, int(port)), 5) as connection:
                connection.sendall(struct.pack(">i", len(request)) + request)
                answer = connection.makefile("rb")
                size = struct.unpack(">i", answer.read(4))[0]
                code = struct.unpack(">h", answer.read(size)[-2:])[0]
                if code in (0, 69):  # done, or no such group: an earlier answer was lost
                    return True
        return False
    eventually(f"group {group} is deleted", deleted, 30, 0.3)


class Process:
    """A child with its output in a file, ended with the scenario at the latest."""

    def __init__(self, name, command, directory, env=None, fsize_limit=None, detached=False):
        self.name, self.command, self._detached = name, command, detached
        self.stdout_path = os.path.join(directory, f"{name}.stdout")
        self.stderr_path = os.path.join(directory, f"{name}.log")
        self.env = {**os.environ, **(env or {})}  # of the next spawn
        self._fsize_limit = fsize_limit
        self.process = None

    def spawn(self):
        def limit():
            # A write beyond the limit fails with EFBIG, as on a full disk, instead of a signal that kills.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._fsize_limit, self._fsize_limit))

        with open(self.stdout_path, "ab") as out, open(self.stderr_path, "ab") as err:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self.env,
                restore_signals=self._fsize_limit is None, preexec_fn=limit if self._fsize_limit else None,
                start_new_session=self._detached)
        return self

    @property
    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.alive:
            self.process.send_signal(number)

    def kill9(self):
        self.signal(signal.SIGKILL)
        return self.wait(30)

    def wait(self, timeout=20.0):
        """The exit code; a failure if it does not end in time."""
        if self.process is None:
            return None
        try:
            return self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout * SLOW:g} s\n{self.logs(30)}") from None

    def logs(self, lines=60):
        return f"--- {self.name}: {' '.join(self.command)}\n{tail_of(self.stdout_path, lines)}" \
               f"{tail_of(self.stderr_path, lines)}"


class Sandbox(Process):
    """The ESP stand-in. Its port stays the same over restarts; so does the record, which is appended to."""

    def __init__(self, directory, name="sandbox", port=None, detached=False, **faults):
        self.record = os.path.join(directory, f"{name}.ndjson")
        self.port = port or free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        program = [SANDBOX] if SANDBOX else [BINARY, "sandbox"]
        super().__init__(name, program + ["--listen", f"127.0.0.1:{self.port}", "--record", self.record], directory,
                         detached=detached)
        self._faults = faults

    def start(self):
        self.spawn()
        eventually("the sandbox listens", lambda: not self.alive or http("GET", self.url + "/_sandbox/stats")[0] == 200)
        assert self.alive, self.logs()
        if self._faults:
            self.faults(**self._faults)
        return self

    def faults(self, **changes):
        status, answer = http("POST", self.url + "/_sandbox/faults", changes)
        assert status == 200, answer

    def heal(self):
        self.faults(reject=0, throttle=0, error_5xx=0, accept_then_drop=0, accept_then_hang=0, drop_before=0,
                    outage=False, unauthorized=False, latency_ms=0, latency_jitter_ms=0)

    def stats(self):
        return json.loads(http("GET", self.url + "/_sandbox/stats")[1])

    def requests(self):
        """The record so far, oldest first."""
        if not os.path.exists(self.record):
            return []
        with open(self.record, encoding="utf-8") as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def executed(self):
        return [row for row in self.requests() if row["executed"] and not row["replayed"]]


class Instance(Process):
    """One `postlane run`."""

    def __init__(self, directory, name, config_path, telemetry, admin, **process):
        super().__init__(name, [BINARY, "run", "-c", config_path], directory, **process)
        self.config_path = config_path
        self.telemetry = f"http://{telemetry}"
        self.admin = f"http://{admin}"
        self.may_end = False  # whether ending by itself is a legitimate end in this scenario

    def start(self, ready=True, timeout=30):
        self.spawn()
        if ready:
            self.wait_ready(timeout)
        return self

    def ready(self):
        return http("GET", self.telemetry + "/readyz", timeout=2)[0] == 200

    def wait_ready(self, timeout=30):
        try:
            eventually(f"{self.name} is ready", lambda: not self.alive or self.ready(), timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None
        assert self.alive, f"{self.name} exited with {self.process.returncode} instead of serving\n{self.logs()}"

    def terminate(self, timeout=30):
        """SIGTERM; postlane drains and exits 0."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        code = self.wait(timeout)
        assert code == 0, f"{self.name} exited with {code} upon SIGTERM\n{self.logs()}"

    def metrics(self):
        """{series as printed: value}"""
        status, text = http("GET", self.telemetry + "/metrics")
        assert status == 200, text
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                if line and not line.startswith("#")}

    def metric(self, name):
        """The sum over all series of this name."""
        return sum(value for series, value in self.metrics().items() if re.match(rf"{name}(\{{|$)", series))


class Feed:
    """Produces events and keeps when each suppression was sent and acknowledged. `settings`: more of the producer's."""

    def __init__(self, stack, settings=None):
        self._stack = stack
        self._producer = Producer({"bootstrap.servers": stack.bootstrap, "partitioner": "murmur2_random", "acks": "all",
                                   "linger.ms": 2, "enable.idempotence": True, "log_level": 0,
                                   **(settings or {})})
        self._acks = open(stack.acks_path, "a", encoding="utf-8")  # pylint: disable=consider-using-with
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self.errors = []
        self.on_acknowledged = None  # called with (topic, partition, offset) in the polling thread
        self.sends = self.suppressions = 0
        # Callbacks run in poll(): a thread of their own keeps the acknowledgement times true.
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self._thread.start()

    def _poll(self):
        while not self._stop.is_set():
            self._producer.poll(0.02)

    def close(self):
        self._producer.flush(20)
        self._stop.set()
        self._thread.join(5)
        self._acks.close()

    def raw(self, topic, key, value, partition=None, headers=None, timestamp_ms=None):
        """`topic` is the contract's name for it, e.g. "sends"."""
        name = self._stack.topics[topic]
        started = time.time_ns() // 1000

        def acknowledged(error, message):
            if error is not None:
                self.errors.append(str(error))
                return
            if self.on_acknowledged:
                self.on_acknowledged(topic, message.partition(), message.offset())
            if topic != "sends":
                self._acks.write(json.dumps({
                    "topic": name, "partition": message.partition(), "offset": message.offset(), "t_send_us": started,
                    "t_ack_us": time.time_ns() // 1000}) + "\n")

        self.sends += topic == "sends"
        self.suppressions += topic == "suppressions"
        where = {} if partition is None else {"partition": partition}
        if timestamp_ms is not None:
            where["timestamp"] = timestamp_ms
        while True:
            try:
                self._producer.produce(name, key=key, value=value, headers=headers, on_delivery=acknowledged, **where)
                return
            except BufferError:
                time.sleep(0.01)

    def event(self, who, message=None, **fields):
        """A valid send event; every one has a mark of its own by which the sandbox's record names it."""
        event = {"to": {"email": f"{who}@example.com", "name": who.capitalize()},
                 "content": {"subject": "Hello", "text": "x" * 200}, "metadata": {"tag": f"tag-{next(self._numbers)}"}}
        if message is not None:
            event["message_id"] = message
        event.update(fields)
        return {name: value for name, value in event.items() if value is not None}

    def send(self, who, message=None, **fields):
        event = self.event(who, message, **fields)
        self.raw("sends", who.encode(), json.dumps(event).encode())
        return event

    def step(self, who, sequence, step, **fields):
        return self.send(who, sequence={"id": sequence, "step": step}, **fields)

    def suppress(self, who, partition=None, **fields):
        event = {"event_id": f"e-{next(self._numbers)}", "recipient_id": who, "action": "suppress",
                 "reason": "unsubscribe", "occurred_at": now(), **fields}
        self.raw("suppressions", who.encode(), json.dumps(event).encode(), partition)

    def suppress_address(self, email, key=None, **fields):
        event = {"email": email, "action": "suppress", "reason": "complaint", "occurred_at": now(), **fields}
        self.raw("address_suppressions", (key or email.lower()).encode(), json.dumps(event).encode())

    def flush(self):
        """Returns when everything produced so far is acknowledged."""
        assert self._producer.flush(30) == 0, "records are still not acknowledged"
        assert not self.errors, self.errors[:3]
        self._acks.flush()


def now(plus_ms=0):
    """RFC 3339 with milliseconds."""
    moment = time.time() + plus_ms / 1000
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}Z"


class Outcomes:
    """Follows the outcomes topic (read_committed)."""

    def __init__(self, stack):
        self._consumer = Consumer({
            "bootstrap.servers": stack.bootstrap, "group.id": "tests", "enable.auto.commit": False,
            "isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 20,
            "enable.partition.eof": True, "log_level": 0})
        name = stack.topics["outcomes"]
        count = partition_counts(stack.bootstrap, [name])[name]
        self._consumer.assign([TopicPartition(name, p, 0) for p in range(count)])
        self.all = []
        self.by_input = {}   # (partition, offset) of the sends topic -> outcome
        self.receipts = {}   # (partition, offset) of the suppressions topic -> receipt

    def close(self):
        self._consumer.close()

    def poll(self, timeout=0.05):
        for message in self._consumer.consume(5000, timeout=timeout):
            if message.error():
                assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
                continue
            document = json.loads(message.value())
            document["_key"], document["_place"] = message.key(), (message.partition(), message.offset())
            self.all.append(document)
            place = document.get("input") or {}
            known = {"outcome": self.by_input, "suppression": self.receipts}.get(document.get("type"))
            if known is not None:
                known[(place.get("partition"), place.get("offset"))] = document

    def of(self, recipient, message=None):
        """Outcomes (not receipts) of one recipient in the order of the topic."""
        self.poll(0)
        return [row for row in self.all if row["type"] == "outcome" and row.get("recipient_id") == recipient
                and message in (None, row.get("message_id"))]

    def words(self, recipient):
        """["outcome/reason", …] of one recipient."""
        return [f"{row['outcome']}/{row.get('reason')}" for row in self.of(recipient)]

    def wait_for(self, what, condition, timeout=30):
        """Polls until `condition(self)` holds."""
        def check():
            self.poll()
            return condition(self)
        return eventually(what, check, timeout, interval=0)


class Stack:
    """One scenario: its own topics, group, folder, sandbox and instances."""

    def __init__(self, bootstrap, directory, prefix, partitions=4, topic_changes=None, faults=None, provider=None,
                 replication=1, feed=None, **config):
        self.bootstrap, self.directory, self.partitions = bootstrap, str(directory), partitions
        self.topics = {name: f"{prefix}.{name.replace('_', '-')}" for name in (
            "sends", "suppressions", "address_suppressions", "provider_events", "outcomes", "dead_letters", "ledger",
            "control")}
        self.acks_path = os.path.join(self.directory, "acks.ndjson")
        create_topics(bootstrap, self.topics, partitions, replication, changes=topic_changes)
        self.sandbox = Sandbox(self.directory, **(faults or {})).start()
        self.base = merged(self._defaults(prefix, provider or {}), config)
        self.instances = []
        self.feed = Feed(self, feed)
        self.outcomes = Outcomes(self)

    def _defaults(self, prefix, provider):
        return {
            "schema_version": 1,
            "kafka": {"bootstrap_servers": self.bootstrap.split(","), "group_id": prefix,
                      "require_durable_topics": False, "session_timeout_ms": 6000,
                      "librdkafka": {"heartbeat.interval.ms": 500}},
            "topics": self.topics,
            "ledger": {"directory": os.path.join(self.directory, "ledger")},
            "ordering": {"min_spacing_ms": 0},
            "dispatch": {"intent_deadline_ms": 1000, "max_in_flight": 64, "drain_timeout_ms": 4000},
            "providers": [{"name": "main", "kind": "http", "base_url": self.sandbox.url + "/send", "timeout_ms": 1000,
                           "max_in_flight": 64, "idempotency": "header", **provider}],
            "routes": [{"name": "default", "providers": ["main"],
                        "from": {"email": "hi@shop.example", "name": "Shop"}}]}

    def create_topic(self, name):
        """Creates one of the contract's topics again."""
        create_topics(self.bootstrap, self.topics, self.partitions, only=[name])

    def config(self, name="a", **changes):
        """Writes the configuration file of instance `name`; -> (path, document)."""
        telemetry, admin = (f"127.0.0.1:{port}" for port in free_ports(2))
        own = {"ledger": {"directory": os.path.join(self.directory, f"ledger-{name}")},
               "telemetry": {"listen": telemetry}, "admin": {"listen": admin}}
        document = merged(merged(self.base, own), changes)
        path = os.path.join(self.directory, f"postlane-{name}.toml")
        with open(path, "w", encoding="utf-8") as text:
            text.write(to_toml(document))
        return path, document

    def instance(self, name="a", process=None, **changes):
        """A new instance, not started. Static membership lets a restart take its partitions back at once."""
        changes = merged({"kafka": {"group_instance_id": f"static-{name}"}}, changes)
        path, document = self.config(name, **changes)
        made = Instance(self.directory, name, path, document["telemetry"]["listen"], document["admin"]["listen"],
                        **(process or {}))
        self.instances.append(made)
        return made

    def run(self, *arguments, timeout=30, stdin=None):
        """A command of postlane to its end; -> CompletedProcess with text."""
        return subprocess.run([BINARY, *arguments], input=stdin, capture_output=True, text=True,
                              timeout=timeout * SLOW, check=False)

    def partition_of(self, who):
        return partition_of(who.encode(), self.partitions)

    def elsewhere(self, who):
        """A partition that is not the one of `who`."""
        return (self.partition_of(who) + 1) % self.partitions

    def settle(self, timeout=60):
        """Waits until every input has an outcome and every suppression a receipt."""
        self.feed.flush()

        def settled(outcomes):
            forwarded = sum(row["result"] == "forwarded" for row in outcomes.receipts.values())
            dead = [i for i in self.instances
                    if i.process is not None and not i.may_end and i.process.poll() not in (None, 0, -9)]
            assert not dead, f"{dead[0].name} ended by itself\n{dead[0].logs()}"
            return len(outcomes.by_input) >= self.feed.sends \
                and len(outcomes.receipts) >= self.feed.suppressions + forwarded

        try:
            self.outcomes.wait_for("every input has an outcome", settled, timeout)
        except AssertionError as error:
            missing = self.feed.sends - len(self.outcomes.by_input)
            raise AssertionError(f"{error} ({missing} of {self.feed.sends} outcomes and "
                                 f"{self.feed.suppressions - len(self.outcomes.receipts)} receipts missing)") from None

    def policy(self, **changes):
        policy = Policy.from_config(self.instances[0].config_path)
        policy.pipe_slack_ms = int(policy.pipe_slack_ms * SLOW)
        for name, value in changes.items():
            assert hasattr(policy, name), name
            setattr(policy, name, value)
        return policy

    def report(self, **policy):
        report = check_run(self.bootstrap, self.policy(**policy), self.sandbox.record, self.acks_path)
        with open(os.path.join(self.directory, "report.txt"), "w", encoding="utf-8") as text:
            text.write(render(report))
        return report

    def check(self, settle=60, **policy):
        """Settles, judges, and fails unless every promise held. Returns the report."""
        self.settle(settle)
        report = self.report(**policy)
        assert report.verdict == "HELD", render(report)
        return report

    def dead_letters(self):
        """Records of the dead-letter topic."""
        return list(read_topic(self.bootstrap, self.topics["dead_letters"]))

    def close(self):
        for instance in self.instances:
            instance.signal(signal.SIGCONT)
            if instance.alive:
                instance.kill9()
        self.feed.close()
        self.outcomes.close()
        self.sandbox.kill9()
        if not KEEP_TOPICS:
            AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0}).delete_topics(
                list(self.topics.values()))

    def logs(self):
        return "\n".join(process.logs() for process in [*self.instances, self.sandbox])
