"""How fast a ledger is read back into an empty store, and how little of it after a kill."""

import json
import os
import re
import shutil
import subprocess
import threading
import time

from harness import Stack, http
from kafka_node import REPOSITORY, Cluster
from world import PARTITIONS, Broken

FILLER = os.path.join(os.path.dirname(os.environ.get("POSTLANE_BINARY") or os.path.join(REPOSITORY, "build", "x")),
                      "bench", "postlane-bench-ledger")


class Watch(threading.Thread):
    """What an operator sees meanwhile: records to go by /metrics, and the answers of /startupz and /readyz."""

    def __init__(self, instance):
        super().__init__(daemon=True)
        self._instance, self._end = instance, threading.Event()
        self.to_go, self.told = [], {"startupz": 0, "readyz": 0}

    def run(self):
        while not self._end.wait(0.1):
            status, text = http("GET", self._instance.telemetry + "/metrics", timeout=1)
            if status != 200:
                continue
            to_go = sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                        if line.startswith("postlane_restore_remaining_records{"))
            self.to_go.append(to_go)
            if to_go > 0:
                for probe in self.told:
                    answer = http("GET", f"{self._instance.telemetry}/{probe}?verbose", timeout=1)[1]
                    self.told[probe] += "records to restore" in answer

    def close(self):
        self._end.set()
        self.join(5)


def measure(directory, entries, ledger):
    """-> entries per second into an empty store, over all partitions of one instance."""
    cluster = Cluster(os.path.join(directory, "kafka"))
    stack = None
    try:
        cluster.start()
        os.makedirs(os.path.join(directory, "stack"))
        stack = Stack(cluster.bootstrap, os.path.join(directory, "stack"), "restore", partitions=PARTITIONS)
        filled = subprocess.run(
            [FILLER, "--bootstrap", cluster.bootstrap, "--topic", stack.topics["ledger"], "--partitions",
             str(PARTITIONS), "--entries", str(entries)], capture_output=True, text=True, timeout=300, check=True)
        entries = json.loads(filled.stdout)["entries"]
        rate = _cold(stack, entries, ledger)
        _warm(stack, ledger)
        return rate
    finally:
        if stack is not None:
            stack.close()
        cluster.kill()


def _cold(stack, entries, ledger):
    instance, rates = stack.instance(), []
    for _ in range(3):
        shutil.rmtree(os.path.join(stack.directory, "ledger-a"), ignore_errors=True)
        instance.spawn()
        watch = Watch(instance)
        watch.start()
        instance.wait_ready(180)
        watch.close()
        cpu = _cpu_seconds(instance.process.pid)
        log, per_partition = _since_start(instance), {}
        for line in log:
            found = re.search(r"(\d+) ledger records replayed", line["msg"])
            if found:
                per_partition[line["msg"].split()[1].rstrip(":")] = int(found[1])
        if sum(per_partition.values()) < entries:  # a start adds a record that asks for the brokers' time
            raise Broken(f"{sum(per_partition.values())} of {entries} ledger records were replayed")
        took = _at(log, "partition.running")[-1] - _at(log, "group.assigned")[0]
        rates.append(entries / took)
        seen = sum(1 for before, after in zip(watch.to_go, watch.to_go[1:]) if after != before)
        ledger.note(f"restore: {entries} entries in {took:.2f} s, {entries / took:,.0f} a second, "
                    f"{entries / cpu:,.0f} a second of processor time; "
                    f"{len(_at(log, 'partition.restoring'))} lines of progress, {seen} changes of "
                    f"postlane_restore_remaining_records, probes that told it: {watch.told}")
        if not all(watch.told.values()) or not seen:
            raise Broken("a restore of seconds was not to be seen in /metrics, /startupz and /readyz")
        instance.terminate()
        verified = stack.run("ledger", "verify", "-c", instance.config_path, timeout=180)
        if verified.returncode != 0:
            raise Broken("the restored stores differ from the ledger:\n"
                         f"{verified.stdout[-2000:]}{verified.stderr[-2000:]}")
    return max(rates)


def _cpu_seconds(pid):
    """Of the whole process since its start: on a machine that others use too, the figure to compare."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _warm(stack, ledger):
    """kill -9 in the middle of work, the store as it was."""
    instance = stack.instances[0].start()
    for i in range(6000):
        stack.feed.send(f"warm-{i}", "m")
        if i % 100 == 0:
            time.sleep(0.03)
    stack.outcomes.wait_for("work was done", lambda o: len(o.by_input) >= 1000, 60)
    instance.kill9()
    offset = _size(instance)
    instance.start()
    log = _lines(instance, offset)
    replayed = [int(re.search(r"(\d+) ledger records", line["msg"])[1]) for line in log
                if line["event"] == "partition.restored"]
    took = _at(log, "partition.running")[-1] - _at(log, "group.assigned")[0]
    ledger.note(f"warm restart: {sum(replayed)} ledger records replayed in {took:.2f} s after a kill -9 under load")
    stack.check(settle=240, min_executed=1000)


def _size(instance):
    return os.path.getsize(instance.stderr_path)


def _since_start(instance):
    lines = _lines(instance, 0)
    first = max(number for number, line in enumerate(lines) if line["event"] == "instance.starting")
    return lines[first:]


def _lines(instance, offset):
    with open(instance.stderr_path, encoding="utf-8") as text:
        text.seek(offset)
        return [json.loads(line) for line in text if line.startswith("{")]


def _at(log, event):
    """Seconds of the day at which lines of this event were written."""
    times = [line["ts"] for line in log if line["event"] == event]
    return [int(t[11:13]) * 3600 + int(t[14:16]) * 60 + float(t[17:23]) for t in times]
