#!/usr/bin/python3
"""Writes the first inputs of every corpus; what the fuzzers find is added beside them."""

import json
import os
import struct

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def put(target, name, data):
    os.makedirs(os.path.join(ROOT, target), exist_ok=True)
    with open(os.path.join(ROOT, target, name), "wb") as file:
        file.write(data)


def keyed(key, value):
    return struct.pack(">H", len(key)) + key + value


EVENT = {"message_id": "m-1", "campaign_id": "c", "to": {"email": "ann@example.com", "name": "Ann"}, "category": "m",
         "sequence": {"id": "drip", "step": 2}, "send_at": "2026-12-01T09:00:00Z", "delay_after_previous_ms": 1000,
         "expires_at": "2026-12-02T09:00:00+02:00", "route": "default", "from": {"email": "hi@shop.example"},
         "reply_to": {"email": "\"a b\"@bücher.example"}, "content": {"subject": "s", "text": "t", "html": "<p>"},
         "headers": {"X-A": "b"}, "tags": ["a"], "metadata": {"n": 1.5}, "unsubscribe_url": "https://a.example/u"}
STOP = {"event_id": "e", "recipient_id": "user-123", "email": "a@example.com", "action": "suppress",
        "reason": "soft_bounce", "scope": {"category": "m"}, "occurred_at": "2025-11-21T10:00:00.5Z",
        "expires_at": "2025-12-21T10:00:00Z", "source": "s"}
TOML = b"""schema_version = 1
[kafka]
bootstrap_servers = ["127.0.0.1:9092"]
[kafka.librdkafka]
"security.protocol" = "PLAINTEXT"
[ordering]
max_wait_ms = 1000
on_gap = "skip"
[[providers]]
name = "main"
kind = "http"
base_url = "https://esp.example/send"
rate_per_second = 1.5
[[routes]]
name = "default"
providers = ["main"]
from = {email = "hi@shop.example", name = "Shop"}
"""


def main():
    plain = json.dumps(EVENT).encode()
    template = dict(EVENT, template={"id": "t", "data": {"a": [1, {"b": "\\\""}], "c": -1.5e3}})
    del template["content"]
    put("send_event", "plain", b"\0" + plain)
    put("send_event", "framed_template", b"\2" + json.dumps(template).encode())
    put("send_event", "line_ends", b"\0" + plain.replace(b'"b"', b'"b\\r\\nBcc: x@example.com"'))
    put("send_event", "surrogate", b"\0" + plain.replace(b'"Ann"', b'"\\ud800"'))
    for name, change in (("suppress", {}), ("unsuppress", {"action": "unsuppress", "reason": "manual"}),
                         ("no_time", {"occurred_at": None}), ("sequence", {"scope": {"sequence": "drip"}})):
        value = json.dumps(dict(STOP, **change)).encode()
        put("suppression", name, keyed(b"user-123", value))
        put("suppression", name + "_address", keyed("A.b@Bücher.example".encode(), value))
    recipient = b"\x01R\x03ann"
    put("ledger_record", "genesis", keyed(b"\x01G", b"\x01" + bytes(16) + b"\x10\x07murmur2\x01"))
    put("ledger_record", "offsets", keyed(b"\x01O", b"\x01\x10\x20"))
    put("ledger_record", "sequence", keyed(recipient + b"Qdrip", b"\x01\x00\x02\x03\x00"))
    put("ledger_record", "suppressions", keyed(recipient + b"S", b"\x01\x01\x00\x04\x10\x00\x00"))
    put("ledger_record", "message", keyed(recipient + b"Mm-1", b"\x01\x10\x08\x00" + bytes(16) + b"\x10"))
    put("store_row", "step", keyed(b"\x00T\x03ann\x04drip" + struct.pack(">Q", 7), b"\x01\x00m-7"))
    put("store_row", "wake", keyed(b"\x00W\x07default" + bytes([128]) + bytes(7) + bytes([128]) + bytes(7) +
                                   b"\x00\x03annm-1", b""))
    put("store_row", "position", keyed(b"\x00P", b"\x01" + bytes(16) + b"\x10\x20"))
    for kind, body in ((0, b'{"id":"abc"}'), (1, b'{"errors":[{"message":"no","field":"to"}]}'),
                       (2, b'{"id":"abc","name":"rate_limit_exceeded","statusCode":429}')):
        date = keyed(b"Wed, 25 Nov 2026 08:00:00 GMT", b"")
        head = bytes([kind, 1, 50, 0, 2, 0]) + keyed(b"120", b"") + b"\x02" + date
        put("answer", f"kind_{kind}", head + body)
    put("configuration", "small", TOML)
    put("configuration", "wrong", TOML.replace(b"skip", b"hop").replace(b"1.5", b"-1"))
    # Configuration (7 bytes), then actions: receive is 0 id step sequence body times.
    head = bytes([0, 0, 0, 0, 1, 0])
    steps = b"".join(bytes([0, n, n, 1, 1, 0]) for n in range(1, 6))
    put("core_step", "in_order", head + steps + bytes([3, 1, 1, 1, 5, 0, 7, 1, 8, 2, 3, 2, 1, 1, 5, 160]))
    put("core_step", "gap", bytes([1, 1, 0, 0, 0, 1]) + steps[12:] + bytes([7, 3, 8, 3, 8, 4, 3, 3, 1, 1, 10, 3]))
    put("core_step", "stop", head + steps + bytes([3, 1, 0, 1, 5, 245, 9, 1, 7, 1, 3, 1, 0, 1]))


if __name__ == "__main__":
    main()
