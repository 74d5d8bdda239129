"""The facts the checker judges: topics, the sandbox's record and acknowledgement times, in a temporary SQLite file.

SQLite does the sorting and merging on disk, so that a run of millions of sends needs no more memory than a small one.
"""

import hashlib
import json
import os
import sqlite3
import tempfile
import time
import tomllib
from dataclasses import dataclass, field

from checker_events import (MICROS, Record, normalise_address, parse_time, partition_of, read_send, read_suppression)

NEVER_US = 2**62

SCHEMA = """
CREATE TABLE inputs (p INT, o INT, ts_us INT, append_time INT, khash BLOB, vhash BLOB, recipient TEXT, message TEXT,
  sequence TEXT, step INT, category TEXT, address TEXT, tag TEXT, send_at_us INT, delay_ms INT, expires_at_us INT,
  problem TEXT, plain INT, PRIMARY KEY (p, o)) WITHOUT ROWID;
CREATE TABLE suppressions (by TEXT, p INT, o INT, subject TEXT, start_us INT, ack_us INT, khash BLOB, vhash BLOB,
  routed INT, action TEXT, reason TEXT, scope TEXT, occurred_us INT, expires_us INT, certain INT,
  PRIMARY KEY (by, p, o)) WITHOUT ROWID;
CREATE TABLE outcomes (p INT, o INT, type TEXT, outcome TEXT, reason TEXT, recipient TEXT, message TEXT, topic TEXT,
  in_p INT, in_o INT, key TEXT, attempts INT, decided_us INT, skipped TEXT, orig_p INT, orig_o INT,
  problem TEXT, ts_us INT);
CREATE TABLE letters (p INT, o INT, topic TEXT, in_p INT, in_o INT, khash BLOB, vhash BLOB, omitted INT, keyless INT,
  reason TEXT);
CREATE TABLE requests (n INT, t_rx_us INT, t_done_us INT, status INT, executed INT, replayed INT, fault TEXT,
  recipient TEXT, message TEXT, key TEXT, tag TEXT, sequence TEXT, step INT, body TEXT, in_p INT, in_o INT);
CREATE TABLE acks (topic TEXT, p INT, o INT, start_us INT, ack_us INT, PRIMARY KEY (topic, p, o)) WITHOUT ROWID;
"""

INDEXES = """
CREATE INDEX inputs_by_recipient ON inputs (recipient, message);
CREATE INDEX inputs_by_tag ON inputs (tag);
CREATE INDEX outcomes_by_input ON outcomes (type, in_p, in_o);
CREATE INDEX outcomes_by_key ON outcomes (key);
CREATE INDEX letters_by_input ON letters (in_p, in_o);
CREATE INDEX suppressions_by_subject ON suppressions (by, subject, p, o);
ANALYZE;
"""

REQUEST_INDEXES = "CREATE INDEX requests_by_recipient ON requests (recipient, message);"


@dataclass
class Policy:
    """What the configuration under test promises, and how much slack a loaded machine gets."""
    sends: str = "postlane.sends"
    suppressions: str = "postlane.suppressions"
    address_suppressions: str = "postlane.address-suppressions"
    outcomes: str = "postlane.outcomes"
    dead_letters: str = "postlane.dead-letters"
    partitioner: str = "murmur2"
    routes: set = field(default_factory=set)  # empty: routes are not judged
    transactional: set = field(default_factory=lambda: {"transactional"})
    max_staleness_ms: int = 250
    min_spacing_ms: int = 1000
    default_ttl_ms: int = 259_200_000
    max_payload_bytes: int = 921_600
    on_gap: str = "dead_letter"
    first_step: str = "one"
    on_ambiguous: str = "halt"
    max_halt_ms: int = 604_800_000
    on_not_sent: str = "advance"
    resend_allowed: bool = False
    request_timeout_ms: int = 10_000
    pipe_slack_ms: int = 500   # L: from the last check to the ESP's socket on a busy machine
    clock_slack_ms: int = 150  # broker time against this machine's
    acks_complete: bool = False  # a suppression that the log of acknowledgements lacks was never acknowledged
    min_executed: int = 1
    min_suppressed: int = 0
    min_requests_by_fault: dict = field(default_factory=dict)

    @staticmethod
    def from_config(path):
        """Reads the configuration file that postlane runs with (what it leaves out has the contract's defaults)."""
        with open(path, "rb") as text:
            document = tomllib.load(text)
        policy = Policy()
        for name, topic in document.get("topics", {}).items():
            if hasattr(policy, name):
                setattr(policy, name, topic)
        for section, names in {
                "kafka": ["partitioner"], "suppression": ["max_staleness_ms"],
                "dispatch": ["default_ttl_ms", "max_payload_bytes"],
                "ordering": ["min_spacing_ms", "on_gap", "first_step", "on_ambiguous", "on_not_sent",
                             "max_halt_ms"]}.items():
            for name in names:
                setattr(policy, name, document.get(section, {}).get(name, getattr(policy, name)))
        categories = document.get("suppression", {}).get("transactional_categories")
        if categories is not None:
            policy.transactional = set(categories)
        timeouts = [provider.get("timeout_ms", 10_000) for provider in document.get("providers", [])]
        policy.request_timeout_ms = min(timeouts, default=policy.request_timeout_ms)
        policy.routes = {route["name"] for route in document.get("routes", [])}
        policy.resend_allowed = any(r.get("on_ambiguous") == "resend" for r in document.get("routes", []))
        return policy


def digest(data):
    """Equal iff the bytes are equal, null apart from empty."""
    return None if data is None else hashlib.blake2b(data, digest_size=16).digest()


def text(data):
    return None if data is None else data.decode("utf-8", "replace")


class Facts:
    """Call the add_ functions in any order, then finish() once; the judge reads `db`."""

    def __init__(self, policy, send_partitions=None, suppression_partitions=None):
        self.policy = policy
        self.send_partitions = send_partitions
        self.suppression_partitions = suppression_partitions
        handle, self.path = tempfile.mkstemp(prefix="postlane-checker-", suffix=".db")
        os.close(handle)
        self.db = sqlite3.connect(self.path)
        self.db.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-65536;" + SCHEMA)

    def close(self):
        self.db.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def add_send(self, record):
        send = read_send(record, self.send_partitions, self.policy)
        self._insert("inputs", (
            record.partition, record.offset, record.timestamp_ms * 1000, record.log_append_time, digest(record.key),
            digest(record.value), send.recipient, send.message, send.sequence, send.step, send.category, send.address,
            send.tag, send.send_at_us, send.delay_ms if isinstance(send.delay_ms, int) else None, send.expires_at_us,
            send.problem, send.plain))

    def add_suppression(self, record, by="recipient"):
        event = read_suppression(record.value, record.timestamp_ms * 1000)
        subject = text(record.key)
        if by == "address":
            subject = normalise_address(subject) or subject
            routed = True
        else:
            routed = record.key is not None and partition_of(
                record.key, self.suppression_partitions, self.policy.partitioner) == record.partition
        # Without an acknowledgement log: an append time is at most a moment before the acknowledgement; a create time
        # is when the producer was called, so a second is granted for getting it there.
        start = record.timestamp_ms * 1000 - (MICROS if record.log_append_time else 0)
        ack = (record.timestamp_ms + 1) * 1000 + (0 if record.log_append_time else MICROS)
        self._insert("suppressions", (
            by, record.partition, record.offset, subject, start, ack, digest(record.key), digest(record.value), routed,
            event.action, event.reason, event.scope, event.occurred_us, event.expires_us, event.certain))

    def add_outcome(self, record):
        problem, document = None, {}
        try:
            document = json.loads(record.value)
        except (ValueError, TypeError):
            problem = "is no JSON"
        if not isinstance(document, dict):
            problem, document = "is no JSON object", {}
        kind = document.get("type")
        place = document.get("of" if kind == "resolution" else "input") or {}
        if problem is None and not isinstance(place.get("offset"), int):
            problem = "names no input"
        original = ((document.get("original") or {}).get("input")) or {}
        said = document.get("recipient_id")
        if problem is None and said is not None and said != text(record.key):
            problem = "has a key that is not its recipient_id"
        self._insert("outcomes", (
            record.partition, record.offset, kind, document.get("outcome") or document.get("result"),
            document.get("reason"), document.get("recipient_id"), document.get("message_id"), place.get("topic"),
            place.get("partition"), place.get("offset"), document.get("idempotency_key"), document.get("attempts"),
            parse_time(document.get("decided_at")), json.dumps(document.get("skipped_steps") or []),
            original.get("partition"), original.get("offset"), problem, record.timestamp_ms * 1000))

    def add_dead_letter(self, record):
        headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers or []}

        def number(name):
            found = headers.get(f"__connect.errors.{name}", "")
            return int(found) if found.isdigit() else None

        self._insert("letters", (
            record.partition, record.offset, headers.get("__connect.errors.topic"), number("partition"),
            number("offset"), digest(record.key), digest(record.value),
            headers.get("postlane.value_omitted") is not None, headers.get("postlane.key_omitted") is not None,
            headers.get("postlane.reason") or headers.get("postlane.error_code")))

    def add_request(self, row):
        sequence = row.get("sequence")
        name, step = (sequence.get("id"), sequence.get("step")) if isinstance(sequence, dict) else (None, None)
        self._insert("requests", (
            row["n"], row["t_rx_us"], row.get("t_reply_us"), row.get("status"),
            bool(row.get("executed")), bool(row.get("replayed")), row.get("fault") or "", row.get("recipient_id"),
            row.get("message_id"), row.get("idempotency_key") or row.get("postlane_id"), row.get("tag"), name, step,
            row.get("body_sha256"), None, None))

    def add_ack(self, topic, partition, offset, start_us, ack_us):
        self._insert("acks", (topic, partition, offset, start_us, ack_us))

    def _insert(self, table, row):
        self.db.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(row))})", row)

    def load_record(self, path):
        """The sandbox's record. A last line cut short by kill -9 of the sandbox itself is an error, not ignored."""
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    self.add_request(json.loads(line))

    def load_acks(self, path):
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                self.add_ack(row["topic"], row["partition"], row["offset"], row["t_send_us"], row["t_ack_us"])

    def load_kafka(self, bootstrap):
        policy = self.policy
        counts = partition_counts(bootstrap, [policy.sends, policy.suppressions])
        self.send_partitions, self.suppression_partitions = counts[policy.sends], counts[policy.suppressions]
        for topic, add in (
                (policy.sends, self.add_send),
                (policy.suppressions, self.add_suppression),
                (policy.address_suppressions, lambda r: self.add_suppression(r, "address")),
                (policy.outcomes, self.add_outcome),
                (policy.dead_letters, self.add_dead_letter)):
            for record in read_topic(bootstrap, topic):
                add(record)

    def finish(self):
        """Joins what was loaded: acknowledgement times, and which message each request was for."""
        db = self.db
        db.executescript(INDEXES)
        if self.policy.acks_complete:
            db.execute("UPDATE suppressions SET ack_us = ?", (NEVER_US,))
        for by, topic in (("recipient", self.policy.suppressions), ("address", self.policy.address_suppressions)):
            db.execute("UPDATE suppressions SET start_us = a.start_us, ack_us = a.ack_us FROM acks a WHERE by = ?"
                       " AND a.topic = ? AND a.p = suppressions.p AND a.o = suppressions.o", (by, topic))
        unknown = "(requests.message IS NULL OR requests.recipient IS NULL)"
        db.execute("UPDATE requests SET recipient = i.recipient, message = i.message FROM inputs i"
                   f" WHERE {unknown} AND i.tag = requests.tag AND i.message IS NOT NULL")
        db.execute("UPDATE requests SET recipient = x.recipient, message = x.message FROM outcomes x"
                   f" WHERE {unknown} AND x.key = requests.key")
        db.executescript(REQUEST_INDEXES)
        db.commit()


def partition_counts(bootstrap, topics):
    from confluent_kafka.admin import AdminClient
    metadata = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0}).list_topics(timeout=15).topics
    return {topic: len(metadata[topic].partitions) if topic in metadata else 0 for topic in topics}


def read_topic(bootstrap, topic, isolation="read_committed", timeout_seconds=120):
    """Every record from the beginning to the end that the topic had when called. A missing topic is empty."""
    from confluent_kafka import Consumer, KafkaError, TopicPartition
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "checker", "enable.auto.commit": False,
                         "isolation.level": isolation, "enable.partition.eof": True, "log_level": 0,
                         "auto.offset.reset": "error", "fetch.wait.max.ms": 50})
    try:
        metadata = consumer.list_topics(topic, timeout=15).topics[topic]
        if metadata.error is not None:
            return
        ends, places = {}, []
        for partition in metadata.partitions:
            place = TopicPartition(topic, partition)
            low, high = consumer.get_watermark_offsets(place, timeout=15)
            if high > low:
                ends[partition] = high
                places.append(TopicPartition(topic, partition, low))
        consumer.assign(places)
        deadline = time.monotonic() + timeout_seconds
        while ends:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: partitions {sorted(ends)} not read to their end; an open transaction?")
            for message in consumer.consume(2000, timeout=0.2):
                if message.error():
                    # End of partition: at the last stable offset, which an open transaction holds back.
                    if message.error().code() != KafkaError._PARTITION_EOF:
                        raise RuntimeError(f"{topic}: {message.error()}")
                    if message.offset() >= ends.get(message.partition(), 0):
                        ends.pop(message.partition(), None)
                    continue
                kind, stamp = message.timestamp()
                yield Record(topic, message.partition(), message.offset(), message.key(), message.value(),
                             message.headers() or [], stamp, kind == 2)
    finally:
        consumer.close()
