"""The published schemas: valid, true to the documented examples and to what postlane writes."""

import copy
import json
import os
import pathlib
import re
import subprocess

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = {
    path.name.removesuffix(".schema.json"): json.loads(path.read_text())
    for path in (ROOT / "schemas").glob("*.schema.json")
}

SEND = {
    "message_id": "welcome-2-user-123",
    "campaign_id": "spring-sale",
    "recipient_id": "user-123",
    "to": {"email": "ann@example.com", "name": "Ann"},
    "category": "marketing",
    "sequence": {"id": "onboarding", "step": 2},
    "send_at": "2026-12-01T09:00:00Z",
    "delay_after_previous_ms": 259200000,
    "expires_at": "2026-12-02T09:00:00Z",
    "route": "default",
    "from": {"email": "hi@shop.example", "name": "Shop"},
    "reply_to": {"email": "re@shop.example"},
    "template": {"id": "d-123", "data": {"first_name": "Ann"}},
    "headers": {"X-Campaign": "spring"},
    "tags": ["spring"],
    "metadata": {"order": "42", "items": [1, None]},
    "unsubscribe_url": "https://shop.example/u/opaque-token",
}
SUPPRESSION = {
    "event_id": "e-1",
    "recipient_id": "user-123",
    "action": "suppress",
    "reason": "unsubscribe",
    "scope": {"category": "marketing"},
    "occurred_at": "2026-11-21T10:00:00Z",
    "expires_at": None,
    "source": "preference-centre",
}
ADDRESS = {"email": "ann@example.com", **SUPPRESSION}
del ADDRESS["recipient_id"]
INPUT = {"topic": "postlane.sends", "partition": 3, "offset": 88123}
OUTCOME = {
    "type": "outcome",
    "outcome": "sent",
    "reason": "accepted",
    "recipient_id": "user-123",
    "message_id": "m-1",
    "attempts": 1,
    "idempotency_key": "E43DoGu0TaGUqW6rcprhOyBwGgAMZfYhjjSSkXfEFas",
    "input": INPUT,
    "received_at": "2026-12-01T09:00:00.000Z",
    "decided_at": "2026-12-01T09:00:00.123Z",
}
HIT = {
    "scope": "category:marketing",
    "reason": "unsubscribe",
    "occurred_at": "2026-12-01T09:00:00.000Z",
    "by": "recipient",
}
RECEIPT = {
    "type": "suppression",
    "result": "applied",
    "recipient_id": "user-123",
    "input": INPUT,
    "decided_at": "2026-12-01T09:00:00.000Z",
}
RESOLUTION = {"type": "resolution", "outcome": "sent", "of": INPUT, "evidence": "event"}
DEAD = {
    "__connect.errors.topic": "postlane.sends",
    "__connect.errors.partition": "3",
    "__connect.errors.offset": "88123",
    "__connect.errors.stage": "VALUE_CONVERTER",
    "__connect.errors.exception.class.name": "postlane.invalid_field",
    "__connect.errors.exception.message": "to.email: not an email address",
    "postlane.reason": "invalid_field",
    "postlane.attempts": "0",
}

REMOVE = object()


def changed(base, changes):
    """`base` with dotted members replaced or removed."""
    result = copy.deepcopy(base)
    for path, value in changes.items():
        *parents, last = path.split("/")
        place = result
        for parent in parents:
            place = place[parent]
        if value is REMOVE:
            del place[last]
        else:
            place[last] = value
    return result


def is_valid(name, document):
    return jsonschema.Draft202012Validator(SCHEMAS[name]).is_valid(document)


CONTENT = {"template": REMOVE, "content": {"subject": "s", "text": "t"}}
VALID = [
    ("send-event", SEND, {}),
    ("send-event", SEND, CONTENT),
    ("send-event", SEND, {"message_id": REMOVE}),
    (
        "send-event",
        SEND,
        {"message_id": None, "sequence": None, "delay_after_previous_ms": None, "from": None,
         "content": None},
    ),
    (
        "send-event",
        SEND,
        {"category": " Marketing ", "send_at": "2026-12-01t09:00:00.123456+02:00",
         "future": {"a": 1}},
    ),
    ("send-event", SEND, {"unsubscribe_url": "https://shop.example:8443/u?t=@1#x"}),
    (
        "send-event",
        SEND,
        {"unsubscribe_url": None, "headers": {"List-Unsubscribe": "<mailto:u@shop.example>",
         "Total": "1"}},
    ),
    ("suppression-event", SUPPRESSION, {}),
    (
        "suppression-event",
        SUPPRESSION,
        {"action": "unsuppress", "scope": REMOVE, "reason": "manual"},
    ),
    (
        "suppression-event",
        SUPPRESSION,
        {"scope": {"sequence": "onboarding"}, "recipient_id": REMOVE},
    ),
    ("address-suppression-event", ADDRESS, {}),
    ("outcome", OUTCOME, {}),
    (
        "outcome",
        OUTCOME,
        {"outcome": "suppressed_at_send", "reason": "suppressed", "checked": "attempt",
         "suppression": HIT},
    ),
    (
        "outcome",
        OUTCOME,
        {"outcome": "duplicate", "reason": "known_message", "original": {"input": INPUT,
         "state": "sending"}},
    ),
    (
        "outcome",
        OUTCOME,
        {"outcome": "dead_lettered", "reason": "malformed_json", "attempts": 0,
         "idempotency_key": REMOVE, "message_id": REMOVE},
    ),
    ("outcome", OUTCOME, {"skipped_steps": [2]}),
    ("outcome", RECEIPT, {}),
    ("outcome", RECEIPT, {"result": "rejected", "reason": "malformed_json"}),
    ("outcome", RESOLUTION, {}),
    ("dead-letter-headers", DEAD, {}),
    ("dead-letter-headers", DEAD, {"postlane.value_omitted": "1000000", "trace": "abc"}),
]
BROKEN = [
    ("send-event", SEND, {"to": REMOVE}),
    ("send-event", SEND, {"to": "ann@example.com"}),
    ("send-event", SEND, {"to": None}),
    ("send-event", SEND, {"to/email": "ann"}),
    ("send-event", SEND, {"to/email": "ann@example.com\r\nBcc: b@example.com"}),
    ("send-event", SEND, {"to/name": "a\n"}),
    ("send-event", SEND, {"message_id": ""}),
    ("send-event", SEND, {"message_id": 7}),
    ("send-event", SEND, {"message_id": "x" * 513}),
    (
        "send-event",
        SEND,
        {"message_id": REMOVE, "campaign_id": REMOVE, "sequence": REMOVE,
         "delay_after_previous_ms": REMOVE},
    ),
    ("send-event", SEND, {"category": "a b"}),
    ("send-event", SEND, {"sequence/step": 0}),
    ("send-event", SEND, {"sequence/step": 1.5}),
    ("send-event", SEND, {"sequence/step": "1"}),
    ("send-event", SEND, {"sequence": REMOVE}),
    ("send-event", SEND, {"delay_after_previous_ms": -1}),
    ("send-event", SEND, {"send_at": "2026-12-01T09:00:00"}),
    ("send-event", SEND, {"send_at": 1764579600}),
    ("send-event", SEND, {"template": REMOVE}),
    ("send-event", SEND, {"content": {"subject": "s", "text": "t"}}),
    ("send-event", SEND, {"template/data": []}),
    ("send-event", SEND, {**CONTENT, "content": {"subject": "s"}}),
    ("send-event", SEND, {**CONTENT, "content": {"subject": "s", "text": ""}}),
    ("send-event", SEND, {**CONTENT, "content": {"subject": "s\nBcc: x", "text": "t"}}),
    ("send-event", SEND, {**CONTENT, "content": {"subject": "s", "text": "\0"}}),
    ("send-event", SEND, {"headers": {"bCC": "x"}}),
    ("send-event", SEND, {"headers": {"Content-Language": "x"}}),
    ("send-event", SEND, {"headers": {"X A": "x"}}),
    ("send-event", SEND, {"headers": {"X-A": 1}}),
    ("send-event", SEND, {"headers": {"X-A": "a\r\nBcc: x"}}),
    ("send-event", SEND, {"headers": {"List-Unsubscribe": "x"}}),
    ("send-event", SEND, {"tags": [1]}),
    ("send-event", SEND, {"tags": ["x"] * 11}),
    ("send-event", SEND, {"metadata": {"postlane_id": "x"}}),
    ("send-event", SEND, {"metadata": {"a": "x\n"}}),
    ("send-event", SEND, {"unsubscribe_url": "http://shop.example/"}),
    ("send-event", SEND, {"unsubscribe_url": "https://user@shop.example/"}),
    ("send-event", SEND, {"unsubscribe_url": "https:///x"}),
    ("send-event", SEND, {"unsubscribe_url": "https://shop.example/a b"}),
    ("suppression-event", SUPPRESSION, {"action": "block"}),
    ("suppression-event", SUPPRESSION, {"action": REMOVE}),
    ("suppression-event", SUPPRESSION, {"reason": "bored"}),
    ("suppression-event", SUPPRESSION, {"reason": REMOVE}),
    ("suppression-event", SUPPRESSION, {"scope": {}}),
    ("suppression-event", SUPPRESSION, {"scope": {"category": "a", "sequence": "b"}}),
    ("suppression-event", SUPPRESSION, {"scope": "marketing"}),
    ("suppression-event", SUPPRESSION, {"occurred_at": REMOVE}),
    ("suppression-event", SUPPRESSION, {"expires_at": "soon"}),
    ("address-suppression-event", ADDRESS, {"email": "ann"}),
    ("address-suppression-event", ADDRESS, {"reason": "x"}),
    ("outcome", OUTCOME, {"outcome": "delivered"}),
    ("outcome", OUTCOME, {"reason": "because"}),
    ("outcome", OUTCOME, {"type": "result"}),
    ("outcome", OUTCOME, {"outcome": "duplicate"}),
    ("outcome", OUTCOME, {"outcome": "suppressed_at_send", "suppression": HIT}),
    ("outcome", OUTCOME, {"suppression": HIT, "checked": "attempt"}),
    ("outcome", OUTCOME, {"attempts": 0}),
    ("outcome", OUTCOME, {"idempotency_key": REMOVE}),
    ("outcome", OUTCOME, {"decided_at": "2026-12-01T09:00:00Z"}),
    ("outcome", OUTCOME, {"input/partition": -1}),
    ("outcome", RECEIPT, {"result": "ignored"}),
    ("outcome", RESOLUTION, {"evidence": "hope"}),
    ("outcome", RESOLUTION, {"of": REMOVE}),
    ("dead-letter-headers", DEAD, {"postlane.reason": "failed"}),
    ("dead-letter-headers", DEAD, {"__connect.errors.offset": REMOVE}),
    ("dead-letter-headers", DEAD, {"__connect.errors.offset": 88123}),
]


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_schema_is_a_schema(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])


def test_all_schemas_are_here():
    assert set(SCHEMAS) == {
        "send-event",
        "suppression-event",
        "address-suppression-event",
        "outcome",
        "dead-letter-headers",
    }


@pytest.mark.parametrize("name, base, changes", VALID)
def test_valid(name, base, changes):
    jsonschema.Draft202012Validator(SCHEMAS[name]).validate(changed(base, changes))


@pytest.mark.parametrize("name, base, changes", BROKEN)
def test_broken(name, base, changes):
    assert not is_valid(name, changed(base, changes))


def test_reasons_are_the_programs():
    """The closed set in the schema is the one in the source."""
    source = (ROOT / "src" / "core" / "reason.cc").read_text()
    words = re.findall(r'Reason::\w+,\s*"(\w+)"', source)
    assert SCHEMAS["outcome"]["$defs"]["reason"]["enum"] == words


def test_what_postlane_writes_is_valid(tmp_path):
    """Records that the encoder's own test made. Skipped where the tests are not built."""
    built = ROOT / "build" / "tests" / "codec" / "codec_test"
    program = pathlib.Path(os.environ.get("POSTLANE_CODEC_TEST", built))
    if "POSTLANE_CODEC_TEST" not in os.environ and not program.exists():
        pytest.skip(f"{program} is not built")
    samples = tmp_path / "samples.ndjson"
    subprocess.run(
        [program, "--gtest_filter=Encode.*"],
        env={**os.environ, "POSTLANE_TEST_SAMPLES": str(samples)},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    lines = samples.read_text().splitlines()
    assert len(lines) > 8
    for line in lines:
        jsonschema.Draft202012Validator(SCHEMAS["outcome"]).validate(json.loads(line))
