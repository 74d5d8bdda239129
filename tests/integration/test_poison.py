"""Whatever stands in the topics: one dead letter with the original bytes, one outcome, and the partition goes on."""

import json
import os

import pytest

from checker_events import partition_of
from harness import now

VALID = {"to": {"email": "p@example.com"}, "content": {"subject": "s", "text": "t"}, "message_id": "m"}
LIMIT = 20_000  # dispatch.max_payload_bytes of these tests


def valid(**changes):
    """A valid event with changes; None removes a field."""
    event = {**VALID, **changes}
    return json.dumps({name: value for name, value in event.items() if value is not None}).encode()


def deep(levels):
    return b'{"message_id": "m", "metadata": ' + b"[" * levels + b"]" * levels + b"}"


# name, key (None: null; "": a key of the right partition is made), value, permitted reasons
POISON = [
    ("NullKey", None, valid(), {"missing_key"}),
    ("Tombstone", "", None, {"malformed_json"}),
    ("EmptyValue", "", b"", {"malformed_json"}),
    ("Garbage", "", b"\xff\xfe\x00\x01garbage", {"malformed_json"}),
    ("Truncated", "", valid()[:-3], {"malformed_json"}),
    ("TrailingGarbage", "", valid() + b"}", {"malformed_json"}),
    ("InvalidUtf8", "", valid().replace(b'"s"', b'"\xc3\x28"'), {"malformed_json", "invalid_field"}),
    ("LoneSurrogate", "", valid().replace(b'"s"', b'"\\ud800"'), {"malformed_json", "invalid_field"}),
    ("FramingOnly", "", b"\x00\x00\x00\x00\x01", {"malformed_json"}),
    ("FramingCut", "", b"\x00\x00", {"malformed_json"}),
    ("NoObject", "", b"[1, 2]", {"invalid_field"}),
    ("JustNull", "", b"null", {"invalid_field"}),
    ("NoRecipientAddress", "", valid(to=None), {"invalid_field"}),
    ("AddressNoString", "", valid(to={"email": 7}), {"invalid_field"}),
    ("AddressNoAddress", "", valid(to={"email": "nobody"}), {"invalid_field"}),
    ("AddressWithNewline", "", valid(to={"email": "a@example.com\r\nBcc: x@example.com"}), {"invalid_field"}),
    ("SubjectWithNewline", "", valid(content={"subject": "a\r\nBcc: x@example.com", "text": "t"}), {"invalid_field"}),
    ("NoContent", "", valid(content=None), {"invalid_field"}),
    ("ContentAndTemplate", "", valid(template={"id": "d-1"}), {"invalid_field"}),
    ("NoMessageId", "", valid(message_id=None), {"invalid_field"}),
    ("EmptyMessageId", "", valid(message_id=""), {"invalid_field"}),
    ("LongMessageId", "", valid(message_id="x" * 513), {"invalid_field"}),
    ("MessageIdNoString", "", valid(message_id=5), {"invalid_field"}),
    ("CategoryNoSlug", "", valid(category="two words"), {"invalid_field"}),
    ("StepZero", "", valid(sequence={"id": "drip", "step": 0}), {"invalid_field"}),
    ("StepFraction", "", valid(sequence={"id": "drip", "step": 1.5}), {"invalid_field"}),
    ("StepHuge", "", valid(sequence={"id": "drip", "step": 10**30}), {"invalid_field", "malformed_json"}),
    ("SequenceNoObject", "", valid(sequence="drip"), {"invalid_field"}),
    ("TimeWithoutOffset", "", valid(send_at="2026-12-01T09:00:00"), {"invalid_field"}),
    ("TimeNoTime", "", valid(expires_at="tomorrow"), {"invalid_field"}),
    ("NegativeDelay", "", valid(delay_after_previous_ms=-1, sequence={"id": "d", "step": 1}), {"invalid_field"}),
    ("HeaderInjection", "", valid(headers={"X-A": "b\r\nBcc: x@example.com"}), {"invalid_field"}),
    ("OtherRecipient", "", valid(recipient_id="somebody-else"), {"key_mismatch"}),
    ("UnknownRoute", "", valid(route="nowhere"), {"unknown_route"}),
    ("KeyNoUtf8", b"\xff\xfe", valid(), {"invalid_field"}),
    ("KeyTooLong", "k" * 513, valid(), {"invalid_field"}),
    ("EmptyKey", b"", valid(), {"missing_key", "invalid_field"}),
    ("TooLarge", "", valid(content={"subject": "s", "text": "x" * LIMIT}), {"too_large"}),
    ("DeepNesting", "", deep(5000), {"malformed_json", "invalid_field"}),
]

# Odd, and still to be sent (or at worst dead-lettered, never both and never neither).
ODD = [
    ("Framed", b"\x00\x00\x00\x00\x07" + valid(message_id="framed"), "sent"),
    ("UnknownFields", valid(message_id="unknown", future={"a": [1, {"b": None}]}), "sent"),
    ("BigIntegers", valid(message_id="big", metadata={"n": 2**70}), None),
    ("ByteOrderMark", b"\xef\xbb\xbf" + valid(message_id="bom"), None),
    ("DuplicateNames", valid(message_id="dup")[:-1] + b', "message_id": "dup2"}', None),
    ("NulInText", valid(message_id="nul", content={"subject": "s", "text": "a\x00b"}), None),
    ("NulInMessageId", valid(message_id="a\x00b"), None),
    ("RawControlCharacter", valid(message_id="ctl").replace(b'"t"', b'"a\tb"'), None),
    ("Whitespace", b" \r\n\t" + valid(message_id="space") + b"\n ", "sent"),
    ("InternationalAddress", valid(message_id="idn", to={"email": "jos\u00e9@b\u00fccher.example"}), None),
]


@pytest.fixture
def stack(make_stack):
    return make_stack(dispatch={"max_payload_bytes": LIMIT})


def test_every_kind_of_poison_ends_in_one_dead_letter(stack):
    feed, inputs = stack.feed, []
    for number, (name, key, value, reasons) in enumerate(POISON):
        who = f"poison-{number}"
        feed.send(who, "before")
        if key == "":
            key = who
        key = key.encode() if isinstance(key, str) else key
        headers = [("traceparent", b"00-abc"), ("binary", b"\xff\x00"), ("null", None), ("traceparent", b"00-def")]
        where = 0 if key is None else partition_of(key, stack.partitions)
        feed.raw("sends", key, value, partition=where, headers=headers)
        inputs.append((name, key, value, reasons, headers))
        feed.send(who, "after")
    feed.send("strayed", "m")
    strayed = json.dumps(feed.event("strayed", "misrouted")).encode()
    feed.raw("sends", b"strayed", strayed, partition=stack.elsewhere("strayed"))
    inputs.append(("Misrouted", b"strayed", strayed, {"misrouted_key"}, []))
    instance = stack.instance().start()
    stack.check(min_executed=2 * len(POISON) + 1)

    letters = stack.dead_letters()
    assert len(letters) == len(inputs)
    left = {(letter.key, letter.value): dict(letter.headers) for letter in letters}
    problems = []
    for name, key, value, reasons, headers in inputs:
        if reasons == {"too_large"}:
            found = next((dict(x.headers) for x in letters if x.key == key), None)
        else:
            found = left.get((key, value))
        if found is None:
            problems.append(f"{name}: no dead letter with the original key and value")
            continue
        place = (int(found["__connect.errors.partition"]), int(found["__connect.errors.offset"]))
        outcome = stack.outcomes.by_input[place]
        if outcome["outcome"] != "dead_lettered" or outcome["reason"] not in reasons:
            problems.append(f"{name}: {outcome['outcome']}/{outcome['reason']}, not one of {sorted(reasons)}")
        known = json.loads(value)["message_id"] if reasons <= {"unknown_route", "key_mismatch"} else None
        if outcome.get("message_id") != known:
            problems.append(f"{name}: message_id {outcome.get('message_id')}, not {known}")
        if outcome.get("attempts") != 0:
            problems.append(f"{name}: attempts {outcome.get('attempts')}")
        kept = next(x.headers for x in letters if dict(x.headers) == found)
        if [header for header in kept if header[0] in ("traceparent", "binary", "null")] != headers:
            problems.append(f"{name}: headers became {kept}")
        text = json.dumps([[n, v.decode("utf-8", "replace")] for n, v in kept if v is not None])
        if "@example.com" in text:
            problems.append(f"{name}: an address in the headers")
    assert not problems, "\n".join(problems)
    assert all(letter.timestamp_ms > 1_600_000_000_000 for letter in letters)
    instance.terminate()


def test_odd_records_are_sent_or_dead_lettered(stack):
    for number, (_, value, _) in enumerate(ODD):
        stack.feed.raw("sends", f"odd-{number}".encode(), value)
    stack.instance().start()
    stack.check(min_executed=3)
    for number, (name, _, expected) in enumerate(ODD):
        got = [row["outcome"] for row in stack.outcomes.all if row.get("recipient_id") == f"odd-{number}"]
        assert len(got) == 1 and got[0] in ({expected} if expected else {"sent", "dead_lettered"}), (name, got)


def test_a_dead_letter_topic_may_have_fewer_partitions(make_stack):
    stack = make_stack(topic_changes={"dead_letters": {"partitions": 1}})
    people = [f"broken-{i}" for i in range(20)]
    assert len({stack.partition_of(who) for who in people}) == stack.partitions
    for who in people:
        stack.feed.raw("sends", who.encode(), b"{")
        stack.feed.send(who, "after")
    stack.instance().start()
    stack.check(min_executed=len(people))
    assert sorted(letter.key.decode() for letter in stack.dead_letters()) == sorted(people)


def test_what_the_dead_letter_topic_cannot_take_is_named_not_fatal(make_stack):
    """One record whose dead letter exceeds the broker's limit must not stop its partition (or lose its outcome)."""
    small = {"config": {"max.message.bytes": "3000"}}
    stack = make_stack(topic_changes={"dead_letters": small}, dispatch={"max_payload_bytes": 100_000})
    stack.feed.raw("sends", b"big", b"{" + os.urandom(6000).hex().encode())
    stack.feed.raw("sends", b"wide", b"{broken", headers=[(f"h{i}", os.urandom(500)) for i in range(12)])
    stack.feed.send("big", "after")
    stack.feed.send("wide", "after")
    stack.instance().start()
    stack.check(min_executed=2)
    headers = {letter.key: dict(letter.headers) for letter in stack.dead_letters()}
    assert "postlane.value_omitted" in headers[b"big"]
    assert "postlane.headers_omitted" in headers[b"wide"]


def test_a_huge_key_or_huge_headers_end_alone(make_stack):
    """What the topics of postlane could not take in one record must not stop a partition either."""
    stack = make_stack(feed={"message.max.bytes": 2_000_000})
    # The key and its JSON text would be 2 MB; the second one fits into its topic, and into no dead letter.
    feed, key, longest = stack.feed, b"k" * 1_000_000, b"l" * 1_048_200
    for each in (key, longest):
        feed.raw("sends", each, valid(), partition=partition_of(each, stack.partitions))
    feed.raw("sends", b"wide", json.dumps(feed.event("wide", "m")).encode(),
             headers=[(f"h{i}", b"x" * 20_000) for i in range(40)])
    for who in ("wide", *(f"user-{i}" for i in range(20))):
        feed.send(who, "after")
    stack.instance().start()
    stack.check(min_executed=21)
    headers = {letter.key: dict(letter.headers) for letter in stack.dead_letters()}
    reasons = {each: found["postlane.reason"] for each, found in headers.items()}
    assert reasons == {key: b"invalid_field", None: b"invalid_field", b"wide": b"too_large"}
    assert headers[None]["postlane.key_omitted"] == b"%d" % len(longest)
    assert "postlane.value_omitted" not in headers[key]
    outcomes = [row for row in stack.outcomes.all if row["outcome"] == "dead_lettered"]
    assert sorted(row["reason"] for row in outcomes) == ["invalid_field", "invalid_field", "too_large"]
    assert all(len(row.get("recipient_id", "")) < 600 for row in outcomes)


def test_poison_in_the_suppression_topics(stack):
    """Doubt is resolved towards not mailing; what says nothing is rejected with a dead letter."""
    feed = stack.feed
    base = {"action": "suppress", "reason": "unsubscribe", "occurred_at": now()}
    cases = [
        # who, value, receipt, suppressed
        ("unknown-reason", {**base, "reason": "because"}, "applied", True),
        ("bad-scope", {**base, "scope": {"planet": "mars"}}, "applied", True),
        ("no-time", {**base, "occurred_at": None}, "applied", True),
        ("future-time", {**base, "occurred_at": now(86_400_000)}, "applied", True),
        ("other-recipient", {**base, "recipient_id": "somebody-else"}, "applied", True),
        ("bad-unsuppress", {**base, "action": "unsuppress", "reason": "because"}, "rejected", False),
        ("garbage", b"{nothing", "rejected", False),
        ("tombstone", None, "rejected", False),
    ]
    for who, value, _, _ in cases:
        body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        feed.raw("suppressions", who.encode(), body)
    feed.raw("suppressions", None, json.dumps(base).encode(), partition=0)
    for key, value in ((b"no address", b"{}"), (b"x@example.com", b"garbage"), (None, None)):
        feed.raw("address_suppressions", key, value, partition=0)
    feed.flush()
    for who, _, _, _ in cases:
        feed.send(who, "m")
    stack.instance().start()
    stack.check(min_executed=3, min_suppressed=5)
    for who, _, receipt, suppressed in cases:
        receipts = [row for row in stack.outcomes.receipts.values() if row.get("recipient_id") == who]
        assert [row["result"] for row in receipts] == [receipt], (who, receipts)
        assert stack.outcomes.words(who)[0].split("/")[0] == ("suppressed_at_send" if suppressed else "sent"), who
