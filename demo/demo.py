#!/usr/bin/python3
"""The demo: a campaign through a real Kafka broker, postlane and an ailing ESP, with a kill -9 in the middle.

    demo.py         run it all, print the outcomes and the verdict, end everything; exit 1 if a promise broke
    demo.py up      start the same stack and leave it running
    demo.py down    end it

The verdict comes from tests/integration/checker.py, which reads the topics and the sandbox's record of what it
executed; postlane's own counters and logs are not asked.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(REPOSITORY, "tests", "integration"))

# pylint: disable=wrong-import-position
import harness  # noqa: E402
from checker import check_run, render  # noqa: E402
from checker_facts import Policy  # noqa: E402
from harness import Feed, Instance, Outcomes, Sandbox, http, now  # noqa: E402
from kafka_node import Cluster, KafkaError, free_ports  # noqa: E402

RUN = os.path.join(REPOSITORY, ".run")
TOPICS = {name: "postlane." + name.replace("_", "-") for name in (
    "sends", "suppressions", "address_suppressions", "provider_events", "outcomes", "dead_letters", "ledger",
    "control")}
PARTITIONS = 8
FAULTS = {"latency_ms": 20, "latency_jitter_ms": 40, "error_5xx": 0.02, "accept_then_drop": 0.01,
          "accept_then_hang": 0.002, "throttle": 0.004, "reject": 0.005, "drop_before": 0.01, "seed": 7}
STEPS = 3
PRODUCE_SECONDS = 20
KILL_AT = 0.4          # of the planned sends
SETTLE_SECONDS = 75
POISON = [b"{not json", b"", b"[]", b'{"to": {}}', b"\x00\x00\x00", b'{"message_id": "x"}']


def say(text=""):
    print(text, flush=True)


def shown(path):
    """Relative where that is shorter to type."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


class Demo:
    """The stack below one folder. Has the attributes that Feed and Outcomes ask of a scenario."""

    def __init__(self, directory, detached=False):
        self.directory, self.detached = directory, detached
        self.topics, self.partitions = TOPICS, PARTITIONS
        self.acks_path = os.path.join(directory, "acks.ndjson")
        self.config_path = os.path.join(directory, "postlane.toml")
        self.kafka = self.sandbox = self.postlane = None

    @property
    def bootstrap(self):
        return self.kafka.bootstrap

    def start(self, ports=None, **faults):
        """`ports`: of the sandbox, telemetry and admin listeners; free ones by default."""
        os.makedirs(self.directory, exist_ok=True)
        say("· Kafka: one node, KRaft")
        self.kafka = Cluster(os.path.join(self.directory, "kafka"))
        self.kafka.start()
        sandbox_port, telemetry, admin = ports or free_ports(3)
        say("· sandbox ESP")
        self.sandbox = Sandbox(self.directory, port=sandbox_port, detached=self.detached, **faults).start()
        self._write_config(f"127.0.0.1:{telemetry}", f"127.0.0.1:{admin}")
        say(f"· topics: {PARTITIONS} partitions")
        self._create_topics()
        say("· postlane")
        self.postlane = Instance(self.directory, "postlane", self.config_path, f"127.0.0.1:{telemetry}",
                                 f"127.0.0.1:{admin}", detached=self.detached)
        self.postlane.start()

    def _create_topics(self):
        done = subprocess.run([harness.BINARY, "topics", "create", "-c", self.config_path, "--partitions",
                               str(PARTITIONS)], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"postlane topics create: exit {done.returncode}\n{done.stdout}{done.stderr}"

    def _write_config(self, telemetry, admin):
        with open(os.path.join(HERE, "postlane.toml"), encoding="utf-8") as template:
            text = template.read()
        for name, value in {"BOOTSTRAP": self.bootstrap, "DIRECTORY": self.directory, "SANDBOX": self.sandbox.url,
                            "TELEMETRY": telemetry, "ADMIN": admin}.items():
            text = text.replace(f"@{name}@", value)
        with open(self.config_path, "w", encoding="utf-8") as config:
            config.write(text)

    def stop(self):
        for process in (self.postlane, self.sandbox):
            if process is not None and process.alive:
                process.kill9()
        if self.kafka is not None:
            self.kafka.stop()


class Campaign:
    """Recipients with a sequence of three steps each, shuffled; repeats, poison and unsubscribes among them."""

    def __init__(self, feed, recipients, seed):
        self.feed, self.recipients = feed, recipients
        self.random = random.Random(seed)
        self.planned = recipients * STEPS
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.stop = threading.Event()

    def _run(self):
        steps = [(f"user-{i}", step) for i in range(self.recipients) for step in range(1, STEPS + 1)]
        self.random.shuffle(steps)
        started = time.monotonic()
        made = []
        for number, (who, step) in enumerate(steps):
            if self.stop.is_set():
                return
            made.append((who, self.feed.step(who, "onboarding", step, campaign_id="spring-sale", category="marketing")))
            if number % 15 == 0:  # an impatient producer sends an event again
                again, event = self.random.choice(made)
                self.feed.send(again, **event)
            if number % 25 == 0:
                self._unsubscribe(number)
            if number % 400 == 0:
                self.feed.raw("sends", f"poison-{number}".encode(), POISON[number // 400 % len(POISON)])
            ahead = number / self.planned * PRODUCE_SECONDS - (time.monotonic() - started)
            if ahead > 0.02:
                time.sleep(ahead)

    def _unsubscribe(self, number):
        who = f"user-{self.random.randrange(self.recipients)}"
        kind = number // 25 % 4
        if kind == 3:
            self.feed.suppress_address(f"{who}@example.com")
        elif kind == 2:  # under a wrong partition: postlane forwards it
            self.feed.suppress(who, partition=(harness.partition_of(who.encode(), PARTITIONS) + 1) % PARTITIONS)
        else:
            self.feed.suppress(who, scope={"category": "marketing"})


class Progress:
    """One line, rewritten on a terminal and repeated every few seconds elsewhere."""

    def __init__(self, demo, feed, outcomes, recipients):
        self._demo, self._feed, self._outcomes, self._recipients = demo, feed, outcomes, recipients
        self._started = self._shown = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def show(self, force=False):
        every = 0.2 if self._terminal else 3.0
        if not force and time.monotonic() - self._shown < every:
            return
        self._shown = time.monotonic()
        counts = {}
        for row in self._outcomes.by_input.values():
            counts[row["outcome"]] = counts.get(row["outcome"], 0) + 1
        esp = json.loads(http("GET", self._demo.sandbox.url + "/_sandbox/stats")[1] or "{}")
        words = " · ".join(f"{name.replace('_', ' ')} {n}" for name, n in sorted(counts.items(), key=lambda x: -x[1]))
        line = (f"{self._shown - self._started:5.1f} s  events {self._feed.sends}  "
                f"unsubscribes {self._feed.suppressions}  ESP executed {esp.get('executed', '?')}  |  {words}")
        print(f"\r\x1b[K{line[:shutil.get_terminal_size().columns - 1]}" if self._terminal else f"  {line}",
              end="" if self._terminal else "\n", flush=True)

    def interrupt(self, text):
        """A line of its own between progress lines."""
        self.show(force=True)
        say(("\n" if self._terminal else "") + text)


def run_campaign(demo, recipients, seed):
    """Feeds, kills, restarts, waits. -> whether everything settled in time."""
    feed, outcomes = Feed(demo), Outcomes(demo)
    campaign = Campaign(feed, recipients, seed)
    progress = Progress(demo, feed, outcomes, recipients)

    def wait_until(condition, seconds):
        deadline = time.monotonic() + seconds
        while not condition():
            outcomes.poll(0.1)
            progress.show()
            if not demo.postlane.alive:
                raise AssertionError(f"postlane ended by itself\n{demo.postlane.logs()}")
            if time.monotonic() > deadline:
                return False
        return True

    def settled():
        forwarded = sum(row["result"] == "forwarded" for row in outcomes.receipts.values())
        return not campaign.thread.is_alive() and len(outcomes.by_input) >= feed.sends \
            and len(outcomes.receipts) >= feed.suppressions + forwarded

    try:
        campaign.thread.start()
        wait_until(lambda: len(outcomes.by_input) >= KILL_AT * campaign.planned, 60)
        demo.postlane.kill9()
        open_then = feed.sends - len(outcomes.by_input)
        progress.interrupt(f"⚡ kill -9 of postlane, {open_then} events undecided; starting it again")
        demo.postlane.start()
        progress.interrupt("  postlane restored its ledger and serves again")
        done = wait_until(settled, SETTLE_SECONDS)
        progress.interrupt("  every event has its outcome" if done else "  gave up waiting for the rest")
        feed.flush()
        return done
    finally:
        campaign.stop.set()
        campaign.thread.join(5)
        feed.close()
        outcomes.close()


def judge(demo):
    policy = Policy.from_config(demo.config_path)
    policy.min_executed, policy.min_suppressed = 500, 20
    policy.min_requests_by_fault = {"error_5xx": 5, "throttle": 1, "accept_then_drop": 5, "drop_before": 5}
    report = check_run(demo.bootstrap, policy, demo.sandbox.record, demo.acks_path)
    text = render(report)
    with open(os.path.join(demo.directory, "report.txt"), "w", encoding="utf-8") as file:
        file.write(text + "\n")
    say("\n" + text)
    return report


def run(options):
    directory = options.directory
    if os.path.exists(os.path.join(directory, "kafka", "cluster.json")):
        Cluster(os.path.join(directory, "kafka")).stop()
    shutil.rmtree(directory, ignore_errors=True)
    demo, started = Demo(directory), time.monotonic()
    try:
        demo.start(**FAULTS)
        say(f"· campaign: {options.recipients} recipients × {STEPS} steps, shuffled, with repeats, poison and "
            "unsubscribes; the ESP throttles, fails, drops and hangs")
        run_campaign(demo, options.recipients, options.seed)
        report = judge(demo)
        say(f"computed from the topics and the sandbox's record; {time.monotonic() - started:.0f} s in all. "
            f"Logs and report: {shown(directory)}")
        return 0 if report.verdict == "HELD" else 1
    finally:
        demo.stop()


def pids_path():
    return os.path.join(RUN, "up", "pids.json")


def port_or_free(wanted):
    import socket
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
            return wanted
        except OSError:
            return free_ports(1)[0]


def up(_):
    down(None, quiet=True)
    demo = Demo(os.path.join(RUN, "up"), detached=True)
    try:
        demo.start(ports=[port_or_free(port) for port in (8025, 9464, 8081)], latency_ms=20)
    except BaseException:
        demo.stop()
        raise
    with open(pids_path(), "w", encoding="utf-8") as file:
        json.dump([[process.process.pid, demo.directory] for process in (demo.postlane, demo.sandbox)], file)
    config, bootstrap = shown(demo.config_path), demo.bootstrap
    binary = shown(harness.BINARY)
    event = '{"recipient_id":"ann","message_id":"hello-1","to":{"email":"ann@example.com"},' \
            '"content":{"subject":"Hello","text":"Hi Ann"}}'
    unsubscribe = json.dumps({"action": "suppress", "reason": "unsubscribe", "occurred_at": now()})
    say(f"""
running:
  Kafka      {bootstrap}
  sandbox    {demo.sandbox.url}/_sandbox/
  telemetry  {demo.postlane.telemetry}/metrics
  config     {config}

try:
  echo '{event}' | {binary} send -c {config}
  {binary} explain -c {config} ann
  kcat -b {bootstrap} -C -t postlane.outcomes -X isolation.level=read_committed -o beginning -e -q
  echo '{unsubscribe}' | kcat -b {bootstrap} -P -t postlane.suppressions -k ann -X partitioner=murmur2_random
  curl -s {demo.sandbox.url}/_sandbox/faults -d '{{"throttle": 0.3, "error_5xx": 0.1}}'
  make down""")
    return 0


def down(_, quiet=False):
    """Ends what `up` started. The data stay, the next `up` goes on with them."""
    found = False
    try:
        with open(pids_path(), encoding="utf-8") as file:
            pids = json.load(file)
    except OSError:
        pids = []
    for pid, mark in pids:
        found |= end_process(pid, mark)
    if pids:
        os.unlink(pids_path())
    kafka = os.path.join(RUN, "up", "kafka")
    if os.path.exists(os.path.join(kafka, "cluster.json")):
        cluster = Cluster(kafka)
        found |= cluster.running()
        cluster.stop()
    if not quiet:
        say("stopped" if found else "nothing was running")
    return 0


def end_process(pid, mark):
    """SIGTERM, then SIGKILL; only if `pid` still is the process that was started for folder `mark`."""
    def runs():
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                return mark.encode() in cmdline.read()
        except OSError:
            return False

    found = runs()
    for number, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 5)):
        deadline = time.monotonic() + seconds
        if runs():
            os.kill(pid, number)
        while runs() and time.monotonic() < deadline:
            time.sleep(0.05)
    return found


def main():
    parser = argparse.ArgumentParser(description="postlane's demo")
    parser.add_argument("command", nargs="?", choices=("run", "up", "down"), default="run")
    parser.add_argument("--recipients", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--directory", default=os.path.join(RUN, "demo"), help="of `run`: emptied first, left behind")
    options = parser.parse_args()
    if options.command != "down" and not os.path.exists(harness.BINARY):
        print(f"{harness.BINARY} is missing: run `make build` first", file=sys.stderr)
        return 69
    try:
        return {"run": run, "up": up, "down": down}[options.command](options)
    except (AssertionError, KafkaError) as error:
        print(f"\ndemo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted, everything was ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
