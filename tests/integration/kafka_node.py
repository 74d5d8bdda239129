#!/usr/bin/python3
"""A real Kafka broker for tests, the demo and the benchmark: fetched, formatted, started, killed, restarted.

Command line:

    kafka_node.py fetch  [--libs DIR]             download the broker's jars (once)
    kafka_node.py start  --dir DIR [--nodes N]    start, wait until it serves, print its bootstrap address
    kafka_node.py stop   --dir DIR                SIGTERM, then SIGKILL after a while
    kafka_node.py kill   --dir DIR                SIGKILL
    kafka_node.py status --dir DIR                exit 0 if every node runs

A second `start` on the same DIR continues with the same data and the same ports. Everything listens on loopback.
"""

import argparse
import base64
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
REPOSITORY = os.path.dirname(os.path.dirname(HERE))
POM = os.path.join(HERE, "kafka", "pom.xml")
LOG4J = os.path.join(HERE, "kafka", "log4j2.properties")
DEFAULT_LIBS = os.environ.get("POSTLANE_KAFKA_LIBS") or os.path.join(REPOSITORY, "build", "kafka-libs")

# One broker as small as it gets: two cores and a few gigabytes are shared with everything under test. The group's
# minimum session timeout is lowered so that tests of zombies need not wait for the usual six seconds, the brokers' own
# because a killed node may register again only when its old session has ended.
SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{proxied_listener}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{proxied_advertised}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,PROXIED:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
num.recovery.threads.per.data.dir=2
default.replication.factor={replicas}
min.insync.replicas={min_isr}
offsets.topic.num.partitions=4
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={min_isr}
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
broker.session.timeout.ms=2500
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={min_isr}
log.segment.bytes=33554432
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=16777216
log.cleaner.threads=1
"""


class KafkaError(Exception):
    """What went wrong and what to do about it."""


def free_ports(count):
    """Distinct ports of loopback that were free a moment ago."""
    sockets = []
    for _ in range(count):
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.bind(("127.0.0.1", 0))
        sockets.append(one)
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def fetch(libs=DEFAULT_LIBS, say=lambda text: print(text, file=sys.stderr, flush=True)):
    """Downloads the broker's jars into `libs` unless they are there, complete and of the version the POM names."""
    with open(POM, "rb") as pom:
        wanted = hashlib.sha256(pom.read()).hexdigest()
    marker = os.path.join(libs, ".complete")
    os.makedirs(os.path.dirname(libs) or ".", exist_ok=True)
    with open(libs + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(OSError):
            with open(marker, encoding="utf-8") as have:
                if have.read().strip() == wanted:
                    return libs
        if not shutil.which("mvn"):
            raise KafkaError("Maven is missing: install Debian's package `maven`")
        partial = libs + ".partial"
        shutil.rmtree(partial, ignore_errors=True)
        command = ["mvn", "-B", "-f", POM, "dependency:copy-dependencies",
                   "-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
        say("fetching Kafka with Maven (about 55 MB, once)")
        _run_with_progress(command, libs + ".log", say)
        with open(os.path.join(partial, ".complete"), "w", encoding="utf-8") as done:
            done.write(wanted + "\n")
        shutil.rmtree(libs, ignore_errors=True)
        os.rename(partial, libs)
    return libs


def _run_with_progress(command, log_path, say):
    with open(log_path, "w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        started, last = time.monotonic(), 0.0
        while process.poll() is None:
            time.sleep(0.2)
            waited = time.monotonic() - started
            if waited > 600:
                process.kill()
                process.wait()
                raise KafkaError(f"Maven did not finish within 10 minutes; see {log_path}")
            if waited - last >= 3:
                last = waited
                with open(log_path, encoding="utf-8", errors="replace") as so_far:
                    files = sum(line.startswith("[INFO] Downloaded") or "Downloaded from" in line for line in so_far)
                say(f"  {files} files fetched, {waited:.0f} s")
        if process.returncode != 0:
            with open(log_path, encoding="utf-8", errors="replace") as so_far:
                errors = [line.rstrip() for line in so_far if "ERROR" in line][:8]
            raise KafkaError("Maven failed (is its repository reachable?):\n" + "\n".join(errors))


def _alive(pid, mark):
    """Whether `pid` runs and is the process that was started for `mark` (process ids are used again)."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
            return mark.encode() in cmdline.read()
    except OSError:
        return False


class Node:
    """One broker process with its own data, log and process-id file below `directory`."""

    def __init__(self, directory, spec, cluster):
        self.directory = directory
        self.id = spec["id"]
        self.port = spec["port"]
        self.controller_port = spec["controller_port"]
        self.behind_proxy, self.proxy_port = spec.get("behind_proxy"), spec.get("proxy_port")
        self._cluster = cluster
        self._process = None
        self.data = os.path.join(directory, "data")
        self.log = os.path.join(directory, "kafka.log")
        self.output = os.path.join(directory, "output.log")
        self.properties = os.path.join(directory, "server.properties")
        self.pid_file = os.path.join(directory, "pid")

    def pid(self):
        """The process id if the node runs, else None."""
        try:
            with open(self.pid_file, encoding="utf-8") as stored:
                pid = int(stored.read())
        except (OSError, ValueError):
            return None
        if self._process is not None and self._process.pid == pid:
            return pid if self._process.poll() is None else None  # its command line is empty for a moment at first
        return pid if _alive(pid, self.properties) else None

    def start(self):
        """Formats the data directory if it is new and starts the broker; does not wait."""
        if self.pid():
            return
        os.makedirs(self.data, exist_ok=True)
        count = len(self._cluster.nodes)
        voters = ",".join(f"{n.id}@127.0.0.1:{n.controller_port}" for n in self._cluster.nodes)
        proxied = self.proxy_port is not None
        with open(self.properties, "w", encoding="utf-8") as properties:
            properties.write(SERVER_PROPERTIES.format(
                proxied_listener=f",PROXIED://127.0.0.1:{self.behind_proxy}" if proxied else "",
                proxied_advertised=f",PROXIED://127.0.0.1:{self.proxy_port}" if proxied else "",
                id=self.id, voters=voters, port=self.port, controller_port=self.controller_port, data=self.data,
                replicas=min(count, 3), min_isr=2 if count >= 3 else 1) + self._cluster.properties)
        if not os.path.exists(os.path.join(self.data, "meta.properties")):
            self.java("kafka.tools.StorageTool", ["format", "-t", self._cluster.cluster_id, "-c", self.properties])
        with open(self.output, "ab") as output:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", [self.properties]), stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, start_new_session=True, cwd=self.directory)
        with open(self.pid_file, "w", encoding="utf-8") as stored:
            stored.write(f"{self._process.pid}\n")

    def _command(self, main, arguments):
        heap = self._cluster.heap_mb
        # A broker that lives for minutes, on shared cores: its second compiler would take a third of its CPU all along.
        compilers = [] if self._cluster.long_lived else ["-XX:TieredStopAtLevel=1"]
        return ["java", f"-Xmx{heap}m", f"-Xms{min(heap, 128)}m", "-XX:+UseSerialGC", "-Xshare:auto",
                *compilers, "-XX:+ExitOnOutOfMemoryError", "-Djava.net.preferIPv4Stack=true",
                f"-Dpostlane.kafka.log={self.log}", f"-Dlog4j2.configurationFile={LOG4J}",
                "-cp", os.path.join(self._cluster.libs, "*"), main, *arguments]

    def java(self, main, arguments):
        done = subprocess.run(self._command(main, arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=120, check=False)
        if done.returncode != 0:
            raise KafkaError(f"{main} {arguments[0]} failed:\n{done.stdout.decode(errors='replace')[-2000:]}")

    def signal(self, number):
        """Sends a signal, e.g. SIGSTOP; nothing happens if the node does not run."""
        pid = self.pid()
        if pid:
            os.kill(pid, number)

    def stop(self, grace_seconds=10):
        """SIGTERM, SIGKILL after the grace; returns when the process is gone."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if not self._gone(grace_seconds):
            self.kill()
        self._forget()

    def kill(self):
        """kill -9; returns when the process is gone."""
        self.signal(signal.SIGKILL)
        if not self._gone(10):
            raise KafkaError(f"broker process {self.pid()} does not end")
        self._forget()

    def _forget(self):
        with contextlib.suppress(OSError):
            os.unlink(self.pid_file)

    def _gone(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not self.pid():
                return True
            time.sleep(0.05)
        return not self.pid()

    def complaint(self):
        """The end of what the broker printed, for error messages."""
        parts = []
        for path in (self.output, self.log):
            with contextlib.suppress(OSError):
                with open(path, encoding="utf-8", errors="replace") as text:
                    parts.append("".join(text.readlines()[-15:]))
        return "\n".join(parts)


class Cluster:
    """One or more brokers (combined with controllers) below one directory.

    cluster.json in it keeps the ports and the cluster's id, so that a later process can stop or continue it. With
    `proxied` every node has a second listener that names `proxy_port` as its address: what connects there must forward
    to `behind_proxy`. With `long_lived` the JVM compiles as a production broker's does, which pays after minutes.
    `properties` are more lines of server.properties.
    """

    def __init__(self, directory, nodes=1, libs=DEFAULT_LIBS, heap_mb=512, proxied=False, long_lived=False,
                 properties=""):
        self.directory = os.path.abspath(directory)
        self.libs = libs
        self.heap_mb = heap_mb
        self.long_lived = long_lived
        self.properties = properties
        os.makedirs(self.directory, exist_ok=True)
        state_path = os.path.join(self.directory, "cluster.json")
        try:
            with open(state_path, encoding="utf-8") as stored:
                state = json.load(stored)
        except OSError:
            ports = free_ports(4 * nodes)
            identity = "p" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
            state = {"cluster_id": identity, "nodes": [
                {"id": i + 1, "port": ports[4 * i], "controller_port": ports[4 * i + 1],
                 **({"behind_proxy": ports[4 * i + 2], "proxy_port": ports[4 * i + 3]} if proxied else {})}
                for i in range(nodes)]}
            with open(state_path, "w", encoding="utf-8") as stored:
                json.dump(state, stored)
        self.cluster_id = state["cluster_id"]
        self.nodes = []
        for spec in state["nodes"]:
            self.nodes.append(Node(os.path.join(self.directory, f"node-{spec['id']}"), spec, self))

    @property
    def bootstrap(self):
        return ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    @property
    def proxied_bootstrap(self):
        return ",".join(f"127.0.0.1:{node.proxy_port}" for node in self.nodes)

    def acl(self, *arguments):
        """What kafka-acls.sh does with these arguments."""
        self.nodes[0].java("org.apache.kafka.tools.AclCommand", ["--bootstrap-server", self.bootstrap, *arguments])

    def start(self, timeout_seconds=60):
        """Starts what does not run and returns when transactions and groups can be served."""
        fetch(self.libs)
        for node in self.nodes:
            node.start()
        self.wait_ready(timeout_seconds)
        return self

    def wait_ready(self, timeout_seconds=60):
        from confluent_kafka import KafkaException, Producer
        from confluent_kafka.admin import AdminClient
        deadline = time.monotonic() + timeout_seconds
        admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        while True:
            for node in self.nodes:
                if not node.pid():
                    raise KafkaError(f"broker {node.id} ended while starting:\n{node.complaint()}")
            with contextlib.suppress(KafkaException):
                if len(admin.list_topics(timeout=1).brokers) == len(self.nodes):
                    break
            if time.monotonic() > deadline:
                raise KafkaError(f"no broker after {timeout_seconds} s:\n{self.nodes[0].complaint()}")
        # The first transaction makes the broker create its transaction log; better now than inside a test.
        producer = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": "warm-up", "log_level": 0})
        while True:
            try:
                producer.init_transactions(5)
                return
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise KafkaError(f"the broker serves no transactions: {error}") from error

    def running(self):
        return all(node.pid() for node in self.nodes)

    def stop(self):
        for node in self.nodes:
            node.signal(signal.SIGTERM)
        for node in self.nodes:
            node.stop()

    def kill(self):
        for node in self.nodes:
            node.kill()


def main(arguments=None):
    parser = argparse.ArgumentParser(description="A real Kafka broker on loopback.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("fetch", "start", "stop", "kill", "status"):
        command = commands.add_parser(name)
        command.add_argument("--libs", default=DEFAULT_LIBS, help="folder of the broker's jars")
        if name != "fetch":
            command.add_argument("--dir", required=True, help="folder for data, logs and the process id")
        if name == "start":
            command.add_argument("--nodes", type=int, default=1)
            command.add_argument("--heap-mb", type=int, default=512)
    options = parser.parse_args(arguments)
    try:
        return run_command(options)
    except KafkaError as error:
        print(f"kafka_node: {error}", file=sys.stderr)
        return 69


def run_command(options):
    if options.command == "fetch":
        print(fetch(options.libs))
        return 0
    if options.command == "start":
        print(Cluster(options.dir, options.nodes, options.libs, options.heap_mb).start().bootstrap)
        return 0
    if not os.path.exists(os.path.join(options.dir, "cluster.json")):
        print(f"kafka_node: nothing was started in {options.dir}", file=sys.stderr)
        return 1
    cluster = Cluster(options.dir, libs=options.libs)
    if options.command == "stop":
        cluster.stop()
    elif options.command == "kill":
        cluster.kill()
    elif options.command == "status":
        print(f"{cluster.bootstrap} {'running' if cluster.running() else 'stopped'}")
        return 0 if cluster.running() else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
