#!/usr/bin/python3
"""Measures postlane against the floor: the same broker, the same sandbox, the same events, in one run.

For every latency of the sandbox: a topic of 8 partitions is filled with three-step sequences, the floor (consumes and
posts, promises nothing) drains it, then `postlane run` drains it into a fresh ledger; then, if asked for, an open-loop
producer offers half of postlane's rate and the time from produce to wire is read from the sandbox's record.

Rates come from the sandbox's record (first to last request received), CPU and memory from what the kernel says of the
ended process, start and drain included, so both programs are judged by the same outside evidence. The machine is
shared with the broker, the sandbox and whatever else runs: `foreign` is the CPU (cores) used by processes that are none
of ours; above 0.1 distrust the rates, and trust the ratios and CPU per send.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "tests", "integration"))

import kafka_node  # noqa: E402

WARM_UP_SECONDS = 60
TICKS = os.sysconf("SC_CLK_TCK")

CONFIG = """\
schema_version = 1
[kafka]
bootstrap_servers = ["{bootstrap}"]
group_id = "{prefix}"
require_durable_topics = false
[topics]
sends = "{prefix}.sends"
suppressions = "{prefix}.suppressions"
address_suppressions = "{prefix}.address-suppressions"
provider_events = "{prefix}.provider-events"
outcomes = "{prefix}.outcomes"
dead_letters = "{prefix}.dead-letters"
ledger = "{prefix}.ledger"
control = "{prefix}.control"
[ledger]
directory = "{directory}/state"
[ordering]
min_spacing_ms = 0
[dispatch]
io_threads = {io_threads}
[[providers]]
name = "sandbox"
kind = "http"
base_url = "{url}/send"
idempotency = "header"
max_in_flight = {in_flight}
[[routes]]
name = "default"
providers = ["sandbox"]
from = {{email = "hi@shop.example", name = "Shop"}}
[telemetry]
listen = "127.0.0.1:{telemetry_port}"
[admin]
listen = "127.0.0.1:{admin_port}"
token_file = "{directory}/token"
"""


class BenchError(Exception):
    """What went wrong and what to do about it."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def http(url, data=None):
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
        return answer.read()


class Program:
    """A process of ours: started, watched, ended by its id, its use of CPU and memory read when it has ended."""

    def __init__(self, command, log_path):
        self.name = os.path.basename(command[0])
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        self.pid = self.process.pid
        self.usage = None
        self.status = None

    def running(self):
        if self.usage is None:
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self._ended(status, usage)
        return self.usage is None

    def end(self, number=signal.SIGTERM, seconds=60):
        """Returns the exit status; ends it the hard way after a while."""
        deadline = time.monotonic() + seconds
        if self.running():
            os.kill(self.pid, number)
        while self.running():
            if time.monotonic() > deadline:
                say(f"{self.name} did not end within {seconds} s of signal {number}: killed")
                os.kill(self.pid, signal.SIGKILL)
                deadline = float("inf")
            time.sleep(0.02)
        return self.status

    def wait(self, seconds):
        output = self.process.stdout.read()
        deadline = time.monotonic() + seconds
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.02)
        if self.running() or self.status != 0:
            self.end(signal.SIGKILL)
            raise BenchError(f"{self.name} failed; its messages: {self.complaint()}")
        return output.decode()

    def _ended(self, status, usage):
        self.status, self.usage = os.waitstatus_to_exitcode(status), usage
        self.process.returncode = self.status  # so that Popen does not wait for it again
        self.process.stdout.close()

    def cpu_us(self):
        return (self.usage.ru_utime + self.usage.ru_stime) * 1e6

    def rss_mb(self):
        return self.usage.ru_maxrss / 1024

    def complaint(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            return log.read()[-2000:]


class Sandbox:
    def __init__(self, program, directory, name, latency_ms):
        self.record = os.path.join(directory, f"{name}.ndjson")
        self.program = Program([*program, "--listen", "127.0.0.1:0", "--record", self.record,
                                "--latency-ms", str(latency_ms)], os.path.join(directory, "sandbox.log"))
        first = self.program.process.stdout.readline().decode()
        if not first.startswith("listening on "):
            raise BenchError(f"the sandbox does not start: {self.program.complaint()}")
        self.url = first.split()[-1]

    def executed(self):
        return json.loads(http(self.url + "/_sandbox/stats"))["executed"]

    def rows(self):
        with open(self.record, encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)

    def rate(self):
        """Requests per second from the first to the last, and how many were executed, twice or not at all."""
        first = last = None
        executed, count, tags = 0, 0, set()
        for row in self.rows():
            first = row["t_rx_us"] if first is None else min(first, row["t_rx_us"])
            last = row["t_rx_us"] if last is None else max(last, row["t_rx_us"])
            count += 1
            if row["executed"]:
                executed += 1
                tags.add(row["tag"])
        seconds = (last - first) / 1e6 if count > 1 else 0
        return {"sends_per_s": (count - 1) / seconds if seconds else 0, "executed": executed,
                "executed_twice": executed - len(tags)}

    def end(self):
        if self.program.end() != 0:
            raise BenchError(f"the sandbox failed: {self.program.complaint()}")


class ForeignCpu:
    """Cores used by processes that are none of ours, over a span of time."""

    def __init__(self, own_pids):
        self.own_pids = own_pids
        self.busy, self.own, self.time = self._busy(), self._own(), time.monotonic()

    @staticmethod
    def _busy():
        with open("/proc/stat", encoding="ascii") as stat:
            fields = [int(word) for word in stat.readline().split()[1:]]
        return sum(fields[:3]) + sum(fields[5:8])

    def _own(self):
        ticks = 0
        for pid in self.own_pids():
            with contextlib.suppress(OSError), open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
                ticks += int(fields[11]) + int(fields[12])
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return ticks + (children.ru_utime + children.ru_stime) * TICKS

    def cores(self):
        span = time.monotonic() - self.time
        return max(0.0, (self._busy() - self.busy - (self._own() - self.own)) / TICKS / span)


class Bench:
    def __init__(self, options, directory):
        self.options, self.directory = options, directory
        self.floor = self._program("bench/postlane-bench-floor")
        self.load = self._program("bench/postlane-bench-load")
        self.ledger = self._program("bench/postlane-bench-ledger") if options.ledger_rows else None
        self.postlane = self._program("postlane") if not options.floor_only else None
        self.sandbox = [self._program("src/sandbox/postlane-sandbox")]
        self.cluster = kafka_node.Cluster(os.path.join(directory, "kafka"), heap_mb=1024, long_lived=True)
        self.programs = []
        self.runs = 0
        self.telemetry = None  # URL of the current postlane's listener

    def _program(self, name):
        path = os.path.join(self.options.build, name)
        if not os.access(path, os.X_OK):
            raise BenchError(f"{path} is missing: run `make build` first, or name the build folder with --build")
        return path

    def start(self):
        say("starting the broker")
        self.cluster.start()

    def end(self):
        for program in self.programs:
            if program.running():
                program.end(signal.SIGKILL)
        self.cluster.stop()

    def _keep(self, program):
        self.programs.append(program)
        return program

    def _own_pids(self):
        """Of processes that still run; the ended ones are in this process's RUSAGE_CHILDREN, as soon as waited for."""
        return [os.getpid(), *(node.pid() for node in self.cluster.nodes if node.pid()),
                *(program.pid for program in self.programs if program.running())]

    def start_sandbox(self, name, latency_ms):
        sandbox = Sandbox(self.sandbox, self.directory, name, latency_ms)
        self._keep(sandbox.program)
        return sandbox

    def make_topics(self, prefix, url):
        """Returns the path of postlane's configuration for these topics."""
        folder = os.path.join(self.directory, prefix)
        os.makedirs(folder)
        with open(os.path.join(folder, "token"), "w", encoding="ascii") as token:
            token.write("bench\n")
        os.chmod(token.name, 0o600)
        telemetry_port, admin_port = kafka_node.free_ports(2)
        path = os.path.join(folder, "postlane.toml")
        with open(path, "w", encoding="utf-8") as config:
            config.write(CONFIG.format(
                bootstrap=self.cluster.bootstrap, prefix=prefix, directory=folder, url=url,
                io_threads=self.options.io_threads,
                in_flight=self.options.in_flight, telemetry_port=telemetry_port, admin_port=admin_port))
        self._create_topics(prefix, path)
        self.telemetry = f"http://127.0.0.1:{telemetry_port}"
        return path

    def _create_topics(self, prefix, path):
        if self.postlane is None:
            from confluent_kafka.admin import AdminClient, NewTopic
            admin = AdminClient({"bootstrap.servers": self.cluster.bootstrap})
            for future in admin.create_topics([NewTopic(f"{prefix}.sends", 8, 1)]).values():
                future.result()
            return
        program = self._keep(Program([self.postlane, "topics", "create", "-c", path],
                                     os.path.join(self.directory, "topics.log")))
        program.wait(60)

    def fill(self, prefix, sends, rate=0):
        command = [self.load, "--bootstrap", self.cluster.bootstrap, "--topic", f"{prefix}.sends", "--run", prefix,
                   "--sends", str(sends), "--recipients", str(self.options.recipients),
                   "--zipf", str(self.options.zipf)]
        if rate:
            command += ["--rate", f"{rate:.1f}"]
        return self._keep(Program(command, os.path.join(self.directory, "load.log")))

    def measure_floor(self, prefix, latency_ms, sends):
        sandbox = self.start_sandbox(f"{prefix}-floor", latency_ms)
        foreign = ForeignCpu(self._own_pids)
        floor = self._keep(Program(
            [self.floor, "--bootstrap", self.cluster.bootstrap, "--topic", f"{prefix}.sends", "--url",
             sandbox.url + "/send", "--sends", str(sends), "--in-flight", str(self.options.in_flight)],
            os.path.join(self.directory, "floor.log")))
        floor.wait(self.options.timeout)
        cores = foreign.cores()
        sandbox.end()
        return {**sandbox.rate(), "cpu_us_per_send": floor.cpu_us() / sends, "rss_mb": floor.rss_mb(),
                "foreign_cores": cores}

    def start_postlane(self, config):
        return self._keep(Program([self.postlane, "run", "-c", config], os.path.join(self.directory, "postlane.log")))

    def await_executions(self, postlane, sandbox, sends):
        """Waits for the last send. A standstill of a minute is a failure, and so is an early end."""
        seen, since = 0, time.monotonic()
        while seen < sends:
            time.sleep(0.05)
            now = sandbox.executed()
            if now != seen:
                seen, since = now, time.monotonic()
            if not postlane.running():
                raise BenchError(f"postlane ended after {seen} sends: {postlane.complaint()}")
            if time.monotonic() - since > 60:
                raise BenchError(f"postlane stands still after {seen} of {sends} sends; its outcomes:\n"
                                 f"{self._outcomes()}\nits messages:\n{postlane.complaint()}")

    def _outcomes(self):
        try:
            lines = http(self.telemetry + "/metrics").decode().splitlines()
        except OSError as error:
            return f"(no metrics: {error})"
        return "\n".join(line for line in lines if not line.endswith(" 0") and line.startswith(
            ("postlane_outcomes_total", "postlane_send_attempts_total", "postlane_in_flight", "postlane_gaps_total")))

    def end_postlane(self, postlane):
        if postlane.end(signal.SIGTERM) != 0:
            raise BenchError(f"postlane ended with {postlane.status} on SIGTERM: {postlane.complaint()}")

    def measure_postlane(self, prefix, latency_ms, sends):
        sandbox = self.start_sandbox(f"{prefix}-postlane", latency_ms)
        config = os.path.join(self.directory, prefix, "postlane.toml")
        with open(config, encoding="utf-8") as text:
            changed = text.read().replace("http://to.be.named", sandbox.url)
        with open(config, "w", encoding="utf-8") as text:
            text.write(changed)
        foreign = ForeignCpu(self._own_pids)
        postlane = self.start_postlane(config)
        self.await_executions(postlane, sandbox, sends)
        self.end_postlane(postlane)
        cores = foreign.cores()
        sandbox.end()
        return {**sandbox.rate(), "cpu_us_per_send": postlane.cpu_us() / sends, "rss_mb": postlane.rss_mb(),
                "foreign_cores": cores}

    def measure_wire_time(self, prefix, latency_ms, rate, seconds):
        """From the due time in the event to the sandbox's reception, under an open loop."""
        sends = int(rate * seconds)
        sandbox = self.start_sandbox(f"{prefix}-open", latency_ms)
        config = self.make_topics(prefix, sandbox.url)
        postlane = self.start_postlane(config)
        self._await_ready(postlane)
        load = self.fill(prefix, sends, rate)
        load.wait(self.options.timeout)
        self.await_executions(postlane, sandbox, sends)
        self.end_postlane(postlane)
        sandbox.end()
        waits = [row["t_rx_us"] - int(row["tag"].split(".")[0]) for row in sandbox.rows()]
        # The first second warms up connections and caches.
        waits = sorted(waits[int(rate):])
        if not waits:
            return None
        return {"rate": rate, "sends": sends, "p50_ms": waits[len(waits) // 2] / 1000,
                "p99_ms": waits[int(len(waits) * 0.99)] / 1000, "max_ms": waits[-1] / 1000}

    def fill_ledger(self, prefix, config):
        """A ledger that remembers millions of ended messages, restored before anything is measured."""
        say(f"a ledger of {self.options.ledger_rows} rows")
        filler = self._keep(Program(
            [self.ledger, "--bootstrap", self.cluster.bootstrap, "--topic", f"{prefix}.ledger", "--entries",
             str(self.options.ledger_rows)], os.path.join(self.directory, "ledger.log")))
        filler.wait(self.options.timeout)
        postlane = self.start_postlane(config)
        self._await_ready(postlane, self.options.timeout)
        self.end_postlane(postlane)

    def _await_ready(self, postlane, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not postlane.running():
                raise BenchError(f"postlane does not start: {postlane.complaint()}")
            with contextlib.suppress(OSError, urllib.error.URLError):
                http(self.telemetry + "/readyz")
                return
            time.sleep(0.1)
        raise BenchError(f"postlane is not ready after {seconds} s: {postlane.complaint()}")

    def warm_up(self):
        """A fresh broker is not compiled yet: for its first ten thousand transactions a commit takes five times as
        long as after them, and its compilers keep a core busy. That is not what is asked."""
        say("warming up the broker: two drains and a minute of open loop")
        for number in range(0 if self.postlane is None else 2):
            prefix = f"warm-{number}"
            self.make_topics(prefix, "http://to.be.named")
            self.fill(prefix, 60_000).wait(self.options.timeout)
            self.measure_postlane(prefix, 0, 60_000)
        if self.postlane is not None:
            self.measure_wire_time("warm", 100, 2_560, WARM_UP_SECONDS)

    def measure(self, latency_ms):
        self.runs += 1
        prefix = f"bench-{self.runs}"
        sends = self.options.sends
        if latency_ms >= 50 and sends > 60_000:
            sends = 60_000  # a tenth of a second on 512 wires: more would only take longer
        say(f"latency {latency_ms} ms: {sends} sends")
        config = self.make_topics(prefix, "http://to.be.named")
        if self.options.ledger_rows:
            self.fill_ledger(prefix, config)
        self.fill(prefix, sends).wait(self.options.timeout)
        row = {"latency_ms": latency_ms, "sends": sends, "floor": self.measure_floor(prefix, latency_ms, sends)}
        if self.postlane is None:
            return row
        row["postlane"] = self.measure_postlane(prefix, latency_ms, sends)
        row["rate_ratio"] = row["postlane"]["sends_per_s"] / row["floor"]["sends_per_s"]
        row["cpu_ratio"] = row["postlane"]["cpu_us_per_send"] / row["floor"]["cpu_us_per_send"]
        if self.options.open_loop_seconds > 0:
            rate = self.options.rate or row["postlane"]["sends_per_s"] / 2
            row["wire"] = self.measure_wire_time(prefix + "-open", latency_ms, rate,
                                                 self.options.open_loop_seconds)
        return row


def table(rows):
    head = ("latency", "program", "sends/s", "x floor", "CPU us/send", "x floor", "RSS MB", "twice", "foreign",
            "wire p50 ms", "wire p99 ms")
    lines = [head]
    for row in rows:
        for name in ("floor", "postlane"):
            figures = row.get(name)
            if figures is None:
                continue
            is_floor = name == "floor"
            wire = None if is_floor else row.get("wire")
            lines.append((
                f"{row['latency_ms']} ms", name, f"{figures['sends_per_s']:,.0f}",
                "1" if is_floor else f"{row['rate_ratio']:.2f}", f"{figures['cpu_us_per_send']:.1f}",
                "1" if is_floor else f"{row['cpu_ratio']:.2f}", f"{figures['rss_mb']:.0f}",
                str(figures["executed_twice"]), f"{figures['foreign_cores']:.2f}",
                f"{wire['p50_ms']:.1f}" if wire else "", f"{wire['p99_ms']:.1f}" if wire else ""))
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths)) for line in lines)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default=os.path.join(ROOT, "build"), help="folder of the programs")
    parser.add_argument("--sends", type=int, default=100_000)
    parser.add_argument("--latencies", default="0,10,100", help="of the sandbox, in ms, separated by commas")
    parser.add_argument("--recipients", type=int, default=0, help="default: a third of the sends")
    parser.add_argument("--zipf", type=float, default=0, help="exponent of the recipients' distribution; 0: all alike")
    parser.add_argument("--ledger-rows", type=int, default=0, help="ended messages that the ledger remembers already")
    parser.add_argument("--in-flight", type=int, default=512, help="on the wire; postlane gets twice as many credits")
    parser.add_argument("--io-threads", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0, help="of the open loop; default: half of the measured one")
    parser.add_argument("--open-loop-seconds", type=float, default=15, help="0: do not measure produce to wire")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="20,000 sends, five seconds of open loop")
    parser.add_argument("--floor-only", action="store_true")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one measurement")
    parser.add_argument("--keep", metavar="DIR", help="work in this new folder and leave it there: logs, records, data")
    parser.add_argument("--out", help="write the figures as JSON to this file (default: only print them)")
    options = parser.parse_args(arguments)
    if options.quick:
        options.sends, options.open_loop_seconds = min(options.sends, 20_000), min(options.open_loop_seconds, 5)
    return options


def make_folder(keep):
    if not keep:
        return tempfile.mkdtemp(prefix="postlane-bench-")
    try:
        os.makedirs(keep)
    except FileExistsError:
        raise BenchError(f"{keep} exists: name a new folder") from None
    return keep


def main(arguments=None):
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    bench, rows, directory = None, [], None
    try:
        directory = make_folder(options.keep)
        bench = Bench(options, directory)
        bench.start()
        if not options.quick:
            bench.warm_up()
        for latency_ms in [int(word) for word in options.latencies.split(",")] * options.repeat:
            rows.append(bench.measure(latency_ms))
            print(table(rows[-1:]), flush=True)
        print("\n" + table(rows))
        if options.out:
            with open(options.out, "w", encoding="utf-8") as out:
                json.dump({"options": vars(options), "cores": os.cpu_count(), "rows": rows}, out, indent=1)
    except (BenchError, kafka_node.KafkaError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 69
    finally:
        if bench is not None:
            bench.end()
        if directory and not options.keep:
            shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
