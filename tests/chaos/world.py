"""What the faults strike: brokers behind a proxy, three instances of postlane under a supervisor, a sandbox ESP that no
fault touches, and load that never stops. The world also measures: what was pending when a fault struck, what went on
meanwhile, and how long every partition took to be back."""

import collections
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from harness import Instance, Stack, eventually
from kafka_node import Cluster

HERE = os.path.dirname(os.path.abspath(__file__))
SESSION_MS = 3000
PARTITIONS = 6
PENDING_MAX = 6000  # the load waits while so much lies before the instances: a slow machine must not drown in it
# An idempotent producer of librdkafka 2.0 may end in a fatal error when a leader dies (rewound sequence number), and
# the load must not. So a record may be in a topic twice; the second is a duplicate like any other.
FEED = {"enable.idempotence": False, "max.in.flight.requests.per.connection": 1}
# Ends an instance may bring about by itself: killed, three restarts of a partition, brokers away, no disk.
OWN_ENDS = {-signal.SIGKILL: "killed", 70: "gave up", 69: "no broker", 74: "no disk", 75: "not yet"}
ESP_FAULTS = {"latency_ms": 20, "latency_jitter_ms": 60, "error_5xx": 0.01, "accept_then_drop": 0.01,
              "accept_then_hang": 0.003, "throttle": 0.01, "drop_before": 0.01}


class Invalid(Exception):
    """The run proves nothing: a fault did not strike, or struck where nothing was at stake."""


class Broken(Exception):
    """Something that must hold did not: an end nobody asked for, a partition that did not come back."""


class Stuck(Broken):
    """Something did not go on in time. That may be the brokers' fault: see run.markers_dropped()."""


class Violated(Broken):
    """The checker found a broken promise; `counts` by rule. That may be the brokers' fault as well."""

    def __init__(self, text, counts):
        super().__init__(text)
        self.counts = counts


class Follower(threading.Thread):
    """Reads the outcomes as they are committed and keeps, per input partition, which inputs have ended."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        name = stack.topics["outcomes"]
        self._consumer = Consumer({
            "bootstrap.servers": stack.bootstrap, "group.id": "chaos", "enable.auto.commit": False,
            "isolation.level": "read_committed", "auto.offset.reset": "earliest", "fetch.wait.max.ms": 50,
            "log_level": 0, "topic.metadata.refresh.interval.ms": 5000})
        self._consumer.assign([TopicPartition(name, p, 0) for p in range(PARTITIONS)])
        self._end = threading.Event()
        self.lock = threading.Lock()
        self.ended = [set() for _ in range(PARTITIONS)]  # offsets of inputs
        self.total = self.receipts = 0
        self.ambiguous = collections.Counter()
        self.last = [0.0] * PARTITIONS  # when the newest outcome of the partition came
        self.longest_wait = [0.0] * PARTITIONS  # between two outcomes, since reset_waits()
        self.waiting = []  # incidents that are not over

    def run(self):
        while not self._end.is_set():
            messages = self._consumer.consume(2000, timeout=0.05)
            at = time.monotonic()
            with self.lock:
                for message in messages:
                    if not message.error():
                        self._take(json.loads(message.value()), at)
                self.waiting = [incident for incident in self.waiting if not incident.look(self, at)]
        self._consumer.close()

    def _take(self, row, at):
        place = row.get("input") or {}
        if row.get("type") == "suppression":
            self.receipts += 1
        if row.get("type") != "outcome":
            return
        partition, offset = place["partition"], place["offset"]
        self.ended[partition].add(offset)
        self.total += 1
        if row["outcome"] == "ambiguous":
            self.ambiguous[(row["route"], row["reason"])] += 1
        self.longest_wait[partition] = max(self.longest_wait[partition], at - self.last[partition])
        self.last[partition] = at
        for incident in self.waiting:
            incident.outcome(partition, offset)

    def reset_waits(self):
        with self.lock:
            self.last = [time.monotonic()] * PARTITIONS
            self.longest_wait = [0.0] * PARTITIONS

    def close(self):
        self._end.set()
        self.join(10)


class Incident:
    """One fault: what was pending when it struck, and until when every partition ended a message produced later."""

    def __init__(self, kind, world):
        self.kind = kind
        self.at = time.monotonic()
        ends = world.input_ends()
        with world.follower.lock:
            self.pending = world.acknowledged - world.follower.total
            self.before = world.follower.total
            self._missing = ends  # partition -> first offset after the strike
            world.follower.waiting.append(self)
        self.recovered_s = self.progress = None
        self.while_it_lasted = None  # how many ended before it was healed; not of every kind of fault

    def healed(self, world):
        """The fault is over only now: recovery is counted from here, for messages produced from here on."""
        self.at = time.monotonic()
        ends = world.input_ends()
        with world.follower.lock:
            self.recovered_s = self.progress = None
            self._missing = ends
            if self not in world.follower.waiting:
                world.follower.waiting.append(self)

    def outcome(self, partition, offset):
        if offset >= self._missing.get(partition, 1 << 62):
            del self._missing[partition]

    def look(self, follower, at):
        """Whether it is over."""
        if self._missing:
            return False
        self.recovered_s, self.progress = at - self.at, follower.total - self.before
        return True

    def missing(self):
        return sorted(self._missing)


class Member:
    """A place for an instance; the supervisor starts it again whatever ended it, unless a fault holds it."""

    def __init__(self, instance):
        self.instance = instance
        self.held = False
        self.crash_at = None      # of the next start
        self.running_with = None  # of this one
        self.asked = False        # we sent SIGTERM
        self.environment = {}     # more of it, for every start from now on

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("POSTLANE")}
        if self.crash_at:
            environment["POSTLANE_CRASH_AT"] = self.crash_at
        environment.update(self.environment)
        self.instance.env = environment
        self.running_with, self.crash_at, self.asked = self.crash_at, None, False
        self.instance.spawn()


class World:
    """Everything of one phase. `with World(...) as world:`; then world.load_on(), faults, world.settle()."""

    def __init__(self, directory, nodes, seed, rate=300, esp_faults=None):
        self.directory, self.rate, self.random = directory, rate, random.Random(seed)
        self.cluster = Cluster(os.path.join(directory, "kafka"), nodes, proxied=True, heap_mb=384)
        self._esp_faults = ESP_FAULTS if esp_faults is None else esp_faults
        self.stack = self.follower = self._proxy = self._asker = None
        self.members, self.inject = [], collections.deque()
        self.ends = collections.Counter()
        self.unexpected = []
        self.acknowledged = 0
        self.next_offsets = [0] * PARTITIONS
        self._closing, self._loading = threading.Event(), threading.Event()
        self._threads = []
        self._lock = threading.RLock()

    def __enter__(self):
        try:
            self._open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _open(self):
        self.cluster.start()
        self._start_proxy()
        os.makedirs(os.path.join(self.directory, "stack"))
        self.stack = Stack(
            self.cluster.bootstrap, os.path.join(self.directory, "stack"), "chaos", partitions=PARTITIONS,
            replication=min(3, len(self.cluster.nodes)), feed=FEED, faults=self._esp_faults,
            provider={"timeout_ms": 800},
            kafka={"bootstrap_servers": self.cluster.proxied_bootstrap.split(","), "session_timeout_ms": SESSION_MS,
                   "require_durable_topics": len(self.cluster.nodes) >= 3},
            dispatch={"intent_deadline_ms": 500, "max_in_flight": 64, "drain_timeout_ms": 3000},
            ordering={"min_spacing_ms": 20, "max_wait_ms": 600_000, "max_halt_ms": 3000})
        self._asker = Consumer({"bootstrap.servers": self.cluster.bootstrap, "group.id": "chaos-asks", "log_level": 0})
        self.stack.feed.on_acknowledged = self._acknowledged
        self.follower = Follower(self.stack)
        self.follower.start()
        for number, name in enumerate("abc"):
            # The third has no fixed name, so that the group also sees members come and go.
            static = {} if number < 2 else {"group_instance_id": None}
            self.members.append(Member(self.add_instance(name, kafka=static)))
            self.members[-1].start()
        self._threads.append(threading.Thread(target=self._supervise, daemon=True))
        self._threads[-1].start()
        self.wait_ready(60)

    def add_instance(self, name, **changes):
        main = dict(self.stack.base["providers"][0])
        plain = dict(main, name="plain", idempotency="none")
        default = self.stack.base["routes"][0]
        unkeyed = dict(default, name="unkeyed", providers=["plain"])
        instance = self.stack.instance(name, providers=[main, plain], routes=[default, unkeyed], **changes)
        assert isinstance(instance, Instance)
        return instance

    def _start_proxy(self):
        routes = [f"{node.proxy_port}:{node.behind_proxy}" for node in self.cluster.nodes]
        self._proxy = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "proxy.py"), *routes], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, start_new_session=True)
        assert json.loads(self._proxy.stdout.readline())["ready"]

    def proxy(self, **command):
        """Changes the proxy; -> its counts."""
        print(json.dumps(command), file=self._proxy.stdin, flush=True)
        return json.loads(self._proxy.stdout.readline())

    def heal(self):
        self.proxy(refuse=[], delay_ms=0)
        for node in self.cluster.nodes:
            node.start()

    # Instances ---------------------------------------------------------------------------------------------------

    def _supervise(self):
        while not self._closing.wait(0.02):
            with self._lock:
                for member in self.members:
                    if not member.held and not member.instance.alive:
                        self.reap(member)
                        member.start()

    def reap(self, member):
        """Counts how it ended."""
        code = member.instance.process.returncode
        if member.asked and code in (0, -signal.SIGTERM):  # the latter: so young that it has no handler yet
            self.ends["drained"] += 1
        elif code in OWN_ENDS:
            self.ends[OWN_ENDS[code]] += 1
        else:
            self.unexpected.append(f"{member.instance.name} ended with {code}\n{member.instance.logs(15)}")

    @contextlib.contextmanager
    def hold(self, member):
        """The supervisor leaves it alone; at the end it runs again."""
        with self._lock:
            member.held = True
        try:
            yield member.instance
        finally:
            with self._lock:
                if not member.instance.alive:
                    member.start()
                member.held = False

    def stop(self, member, timeout=15):
        """SIGTERM; -> the exit code. Hold it first."""
        member.asked = True
        member.instance.signal(signal.SIGCONT)
        member.instance.signal(signal.SIGTERM)
        code = member.instance.wait(timeout)
        self.reap(member)
        return code

    def kill(self, member):
        member.instance.kill9()
        self.reap(member)

    def wait_ready(self, timeout=40):
        try:
            eventually("every instance is ready", lambda: self._check() and all(m.instance.alive and m.instance.ready()
                                                                               for m in self.members), timeout, 0.1)
        except AssertionError as error:
            slow = "\n".join(m.instance.logs(15) for m in self.members if not m.instance.ready())
            raise Stuck(f"{error}\n{slow}") from None

    def wait_in_sync(self, timeout=60):
        """Until every replica of every partition has caught up, so that one broker fewer is one failure, not two."""
        admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap, "log_level": 0})

        def whole():
            with contextlib.suppress(KafkaException):
                return all(sorted(partition.isrs) == sorted(partition.replicas)
                           for topic in admin.list_topics(timeout=5).topics.values()
                           for partition in topic.partitions.values())
            return False
        try:
            eventually("the brokers are in sync", whole, timeout, 0.2)
        except AssertionError as error:
            raise Invalid(str(error)) from None

    def _check(self):
        if self.unexpected:
            raise Broken("\n".join(self.unexpected))
        return True

    def owner(self):
        """A member that has partitions, so that a fault endangers work."""
        def found():
            owners = [m for m in self.members if m.instance.alive and any(
                series.startswith("postlane_suppression_staleness_seconds{") for series in m.instance.metrics())]
            return owners and self.random.choice(owners)
        return eventually("an instance has partitions", found, 30, 0.2)

    # Load --------------------------------------------------------------------------------------------------------

    def _acknowledged(self, topic, partition, offset):
        if topic == "sends":
            self.next_offsets[partition] = max(self.next_offsets[partition], offset + 1)
            self.acknowledged += 1

    def load_on(self):
        self._loading.set()
        self._threads.append(threading.Thread(target=self._load, daemon=True))
        self._threads[-1].start()

    def load_off(self):
        self._loading.clear()
        for thread in self._threads[1:]:
            thread.join(30)
        del self._threads[1:]

    def _load(self):
        """Sequences in a shuffled order, repeats, unsubscribes by recipient and by address, one in ten unkeyed."""
        feed, order = self.stack.feed, random.Random(self.random.random())
        first, number, started, recent = self.acknowledged * 10, 0, time.monotonic(), collections.deque(maxlen=500)
        while self._loading.is_set():
            people = range(first, first + 40)
            first += 40
            steps = [(who, step) for who in people for step in (1, 2, 3)]
            order.shuffle(steps)
            for who, step in steps:
                number += 1
                route = "unkeyed" if who % 10 == 0 else "default"
                recent.append((f"user-{who}", feed.step(f"user-{who}", "drip", step, route=route,
                                                        category="marketing")))
                if number % 17 == 0:
                    name, event = order.choice(recent)
                    feed.send(name, **event)
                if number % 29 == 0:
                    feed.suppress(f"user-{order.choice(people)}")
                if number % 31 == 0:
                    feed.suppress_address(f"user-{order.choice(people)}@example.com")
                while self.inject:
                    feed.raw("sends", *self.inject.popleft())
                while feed.sends - self.follower.total > PENDING_MAX and self._loading.is_set():
                    time.sleep(0.05)
                    started = max(started, time.monotonic() - number / self.rate)  # nothing is made up for
                ahead = number / self.rate - (time.monotonic() - started)
                if ahead > 0.02:
                    time.sleep(ahead)

    # Faults ------------------------------------------------------------------------------------------------------

    def input_ends(self, topic="sends", timeout=1):
        """Partition -> the end of the topic. The brokers say it, or, if they cannot, our acknowledgements."""
        ends = dict(enumerate(self.next_offsets if topic == "sends" else [0] * PARTITIONS))
        for partition in ends:
            try:
                place = TopicPartition(self.stack.topics[topic], partition)
                ends[partition] = max(ends[partition], self._asker.get_watermark_offsets(place, timeout=timeout)[1])
            except KafkaException:
                break
        return ends

    def strike(self, kind):
        """Call at the moment of the fault: just after it where the brokers live on, else just before."""
        return Incident(kind, self)

    def lasts(self, incident, seconds):
        """The fault lasts; somebody must go on meanwhile."""
        time.sleep(seconds)
        incident.while_it_lasted = self.follower.total - incident.before

    def recover(self, incidents, timeout=60):
        """Waits until every partition is back after each of the incidents."""
        def back():
            return self._check() and all(incident.recovered_s is not None for incident in incidents)
        try:
            eventually("every partition is back", back, timeout, 0.02)
        except AssertionError:
            late = [(incident.kind, incident.missing()) for incident in incidents if incident.recovered_s is None]
            raise Stuck(f"partitions that did not come back within {timeout} s: {late}\n{self.stack.logs()}") from None

    def settle(self, timeout=120):
        """The load ends, everything heals, and every input must have its outcome."""
        self.load_off()
        self.heal()
        self.stack.feed.flush()
        self.stack.sandbox.heal()
        sends, suppressions = (sum(self.input_ends(topic, 20).values()) for topic in ("sends", "suppressions"))

        def missing():
            with self.follower.lock:
                return sends - sum(map(len, self.follower.ended)), suppressions - self.follower.receipts
        try:
            eventually("every input has an outcome", lambda: self._check() and max(missing()) <= 0, timeout, 0.1)
        except AssertionError as error:
            raise Stuck(f"{error}: {missing()[0]} of {sends} outcomes and {missing()[1]} of {suppressions} receipts "
                         f"are missing\n{self.stack.logs()}") from None

    def close(self):
        self._loading.clear()
        self._closing.set()
        for thread in self._threads:
            thread.join(30)
        if self.follower is not None:
            self.follower.close()
            self._asker.close()
        if self.stack is not None:
            self.stack.close()
        if self._proxy is not None:
            self._proxy.stdin.close()
            self._proxy.wait(10)
        self.cluster.kill()
