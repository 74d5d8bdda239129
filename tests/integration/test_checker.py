"""The checker must pass a good history and catch each planted fault. Needs neither Kafka nor postlane."""

import copy
import json

import pytest

from checker import Facts, Policy, judge, render
from checker_events import MICROS, Record, murmur2, partition_of, read_suppression, View

PARTITIONS = 4
START_MS = 1_790_000_000_000


def at(ms):
    """A moment of the history as RFC 3339."""
    import datetime
    moment = datetime.datetime.fromtimestamp((START_MS + ms) / 1000, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


class History:
    """A run as the topics and the sandbox would show it. The lists are public so that a test can spoil them."""

    def __init__(self):
        self.sends, self.suppressions, self.address_suppressions = [], [], []
        self.outcomes, self.letters, self.requests = [], [], []
        self.offsets = {}

    def record(self, topic, key, value, ms, partition=None, headers=None):
        if partition is None:
            partition = partition_of(key, PARTITIONS) if key else 0
        offset = self.offsets.get((topic, partition), 0)
        self.offsets[(topic, partition)] = offset + 1
        body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
        return Record(topic, partition, offset, key, body, headers or [], START_MS + ms)

    def send(self, who, ms, **fields):
        fields.setdefault("to", {"email": f"{who}@example.com"})
        fields.setdefault("content", {"subject": f"tag-{who}-{len(self.sends)}", "text": "x"})
        record = self.record("postlane.sends", who.encode(), fields, ms)
        self.sends.append(record)
        return record

    def raw_send(self, key, value, ms, partition=None):
        self.sends.append(self.record("postlane.sends", key, value, ms, partition))
        return self.sends[-1]

    def suppress(self, who, ms, partition=None, **fields):
        event = {"action": "suppress", "reason": "unsubscribe", "occurred_at": at(ms), **fields}
        record = self.record("postlane.suppressions", who.encode(), event, ms, partition)
        self.suppressions.append(record)
        self.receipt(record, "forwarded" if partition is not None else "applied", ms + 20)
        return record

    def suppress_address(self, address, ms):
        event = {"email": address, "action": "suppress", "reason": "complaint", "occurred_at": at(ms)}
        self.address_suppressions.append(self.record("postlane.address-suppressions", address.encode(), event, ms))

    def receipt(self, record, result, ms):
        self.outcomes.append(self.record("postlane.outcomes", record.key, {
            "type": "suppression", "result": result, "recipient_id": record.key.decode(), "decided_at": at(ms),
            "input": {"topic": record.topic, "partition": record.partition, "offset": record.offset}}, ms,
            record.partition))

    def outcome(self, record, outcome, reason, ms, message="m", **fields):
        document = {"type": "outcome", "outcome": outcome, "reason": reason, "decided_at": at(ms),
                    "recipient_id": record.key.decode() if record.key else None, "message_id": message,
                    "input": {"topic": record.topic, "partition": record.partition, "offset": record.offset}, **fields}
        self.outcomes.append(self.record("postlane.outcomes", record.key, document, ms, record.partition))

    def letter(self, record, reason, ms):
        headers = [("__connect.errors.topic", record.topic.encode()),
                   ("__connect.errors.partition", str(record.partition).encode()),
                   ("__connect.errors.offset", str(record.offset).encode()), ("postlane.reason", reason.encode())]
        self.letters.append(self.record("postlane.dead-letters", record.key, record.value, ms, 0, headers))

    def request(self, record, ms, status=200, executed=True, replayed=False, fault="none", message="m", reply=10):
        document = json.loads(record.value)
        self.requests.append({
            "n": len(self.requests) + 1, "t_rx_us": (START_MS + ms) * 1000,
            "t_reply_us": None if reply is None else (START_MS + ms + reply) * 1000, "status": status,
            "executed": executed, "replayed": replayed, "fault": fault, "recipient_id": record.key.decode(),
            "message_id": message, "idempotency_key": f"key-{record.key.decode()}-{message}",
            "tag": document["content"]["subject"], "sequence": document.get("sequence"), "body_sha256": "00"})

    def verdict(self, **policy):
        facts = Facts(Policy(min_spacing_ms=50, **policy), PARTITIONS, PARTITIONS)
        with facts:
            for record in self.sends:
                facts.add_send(record)
            for record in self.suppressions:
                facts.add_suppression(record)
                facts.add_ack(record.topic, record.partition, record.offset, record.timestamp_ms * 1000,
                              record.timestamp_ms * 1000 + 3000)
            for record in self.address_suppressions:
                facts.add_suppression(record, "address")
            for record in self.outcomes:
                facts.add_outcome(record)
            for record in self.letters:
                facts.add_dead_letter(record)
            for row in self.requests:
                facts.add_request(row)
            return judge(facts)


def good_history():
    """A bit of everything that may happen."""
    h = History()
    for step in (1, 2, 3):  # "seq": three steps in order, the second after a refused attempt
        record = h.send("seq", 0, message_id=f"s{step}", sequence={"id": "drip", "step": step})
        if step == 2:
            h.request(record, 400, status=429, executed=False, fault="throttle", message="s2")
        h.request(record, 100 + 200 * step, message=f"s{step}")
        h.outcome(record, "sent", "accepted", 120 + 200 * step, f"s{step}", attempts=1)
    again = h.send("seq", 900, message_id="s1", sequence={"id": "drip", "step": 1})
    h.outcome(again, "duplicate", "known_message", 910, "s1", original={
        "input": {"topic": "postlane.sends", "partition": again.partition, "offset": 0}, "state": "sent"})

    lost = h.send("lost", 0, message_id="m")  # the answer is lost, the replay with the same key finds it
    h.request(lost, 100, status=0, fault="accept_then_drop", reply=None)
    h.request(lost, 2000, replayed=True)
    h.outcome(lost, "sent", "accepted", 2020)

    unsure = h.send("unsure", 0, message_id="m")
    h.request(unsure, 100, status=0, fault="accept_then_hang", reply=None)
    h.outcome(unsure, "ambiguous", "no_idempotency", 3000)

    stopped = [h.send("stopped", 0, message_id=f"m{i}") for i in (1, 2)]
    h.request(stopped[0], 100, message="m1")
    h.outcome(stopped[0], "sent", "accepted", 120, "m1")
    h.suppress("stopped", 300)
    h.outcome(stopped[1], "suppressed_at_send", "suppressed", 400, "m2")

    late = h.send("late", 0, message_id="m", expires_at=at(500))
    h.outcome(late, "expired", "ttl_passed", 600)

    bounced = h.send("bounced", 1000, message_id="m")
    h.suppress_address("bounced@example.com", -2000)
    h.outcome(bounced, "suppressed_at_send", "suppressed", 1100)

    refused = h.send("refused", 0, message_id="m")
    h.request(refused, 100, status=422, executed=False, fault="reject")
    h.outcome(refused, "failed", "rejected_by_provider", 130)

    poison = h.raw_send(b"poison", b"{not json", 0)
    h.outcome(poison, "dead_lettered", "malformed_json", 30, None)
    h.letter(poison, "malformed_json", 30)
    empty = h.raw_send(b"poison", None, 0)
    h.outcome(empty, "dead_lettered", "malformed_json", 30, None)
    h.letter(empty, "malformed_json", 30)

    strayed = (partition_of(b"strayed", PARTITIONS) + 1) % PARTITIONS
    h.suppress("strayed", 100, partition=strayed)
    forwarded = h.suppressions[-1]
    h.suppressions.append(h.record("postlane.suppressions", b"strayed", forwarded.value, 140))
    h.receipt(h.suppressions[-1], "applied", 160)

    skipping = [h.send("skipping", 0, message_id=f"k{step}", sequence={"id": "drip", "step": step}) for step in (1, 3)]
    h.request(skipping[0], 100, message="k1")
    h.outcome(skipping[0], "sent", "accepted", 120, "k1")
    h.request(skipping[1], 5000, message="k3")
    h.outcome(skipping[1], "sent", "accepted", 5020, "k3", skipped_steps=[2])
    return h


def find(rows, **wanted):
    """The one request, or the one outcome document's record, with these fields."""
    hits = []
    for row in rows:
        fields = row if isinstance(row, dict) else json.loads(row.value)
        if all(fields.get(name) == value for name, value in wanted.items()):
            hits.append(row)
    assert hits, wanted
    return hits[0]


def change(record, **fields):
    document = json.loads(record.value)
    document.update(fields)
    record.value = json.dumps(document).encode()


def move(row, ms, reply=10):
    row["t_rx_us"] = (START_MS + ms) * 1000
    row["t_reply_us"] = None if reply is None else (START_MS + ms + reply) * 1000


def execute(h, who, message, ms):
    """Plants an execution of a message that had none."""
    record = next(r for r in h.sends if r.key == who.encode() and json.loads(r.value).get("message_id") == message)
    h.request(record, ms, message=message)


def drop_outcome(h, **wanted):
    h.outcomes.remove(find(h.outcomes, **wanted))


def repeat_request(h, key="key-{who}-{message}", **wanted):
    twin = copy.deepcopy(find(h.requests, **wanted))
    twin["n"] = 99
    move(twin, 8000)
    twin["idempotency_key"] = key.format(who=twin["recipient_id"], message=twin["message_id"])
    h.requests.append(twin)


def swap_steps(h):
    one, two = find(h.requests, message_id="s2", executed=True), find(h.requests, message_id="s3")
    one["t_rx_us"], two["t_rx_us"] = two["t_rx_us"], one["t_rx_us"]
    one["t_reply_us"], two["t_reply_us"] = two["t_reply_us"], one["t_reply_us"]


def spoil_letter(h):
    h.letters[0].value += b" "


def spoil_tag(h):
    find(h.requests, message_id="s1")["tag"] = "tag-of-somebody-else"


def swap_outcomes(h):
    two, three = find(h.outcomes, message_id="s2"), find(h.outcomes, message_id="s3")
    two.offset, three.offset = three.offset, two.offset


FAULTS = [
    # name, how the good history is spoilt, the rule that must speak
    ("OutcomeDropped", lambda h: drop_outcome(h, message_id="s2"), "omission"),
    ("OutcomeTwice", lambda h: h.outcomes.append(find(h.outcomes, message_id="s2")), "outcome_twice"),
    ("OutcomeInvented", lambda h: change(find(h.outcomes, message_id="s2"), input={
        "topic": "postlane.sends", "partition": 0, "offset": 777}), "excess"),
    ("OutcomeOfOtherRecipient", lambda h: change(find(h.outcomes, message_id="s2"), recipient_id="eve"),
     "malformed_outcome"),
    ("OutcomeOfOtherMessage", lambda h: change(find(h.outcomes, message_id="s2"), message_id="s9"), "wrong_outcome"),
    ("OutcomeNoJson", lambda h: setattr(h.outcomes[0], "value", b"{"), "malformed_outcome"),
    ("ReceiptMissing", lambda h: drop_outcome(h, type="suppression", recipient_id="stopped"), "receipt"),
    ("ReceiptTwice", lambda h: h.outcomes.append(find(h.outcomes, type="suppression", recipient_id="stopped")),
     "receipt"),
    ("MisroutedApplied", lambda h: change(find(h.outcomes, result="forwarded"), result="applied"), "receipt"),
    ("NeverForwarded", lambda h: (h.suppressions.pop(), h.outcomes.remove(find(
        h.outcomes, recipient_id="strayed", result="applied"))), "not_forwarded"),
    ("DeadLetterMissing", lambda h: h.letters.pop(), "dead_letter_count"),
    ("DeadLetterTwice", lambda h: h.letters.append(h.letters[0]), "dead_letter_count"),
    ("DeadLetterOfNothing", lambda h: drop_outcome(h, outcome="dead_lettered"), "dead_letter_of_nothing"),
    ("DeadLetterOtherBytes", spoil_letter, "dead_letter_bytes"),
    ("DeadLetterNullBecameEmpty", lambda h: setattr(h.letters[1], "value", b""), "dead_letter_bytes"),
    ("ValidRefused", lambda h: change(find(h.outcomes, message_id="s3"), outcome="dead_lettered",
                                      reason="invalid_field"), "wrong_verdict"),
    ("PoisonAccepted", lambda h: change(find(h.outcomes, reason="malformed_json"), outcome="failed"), "wrong_verdict"),
    ("ExecutedTwice", lambda h: repeat_request(h, message_id="s1"), "executed_twice"),
    ("ExecutedTwiceOtherKey", lambda h: repeat_request(h, key="other", message_id="s1"), "executed_twice"),
    ("RetriedOtherKey", lambda h: find(h.requests, fault="throttle").update(idempotency_key="other"), "key_changed"),
    ("KeyShared", lambda h: [find(h.requests, message_id=m, executed=True).update(idempotency_key="k")
                             for m in ("s1", "s3")], "key_shared"),
    ("DuplicateSentAgain", lambda h: change(find(h.outcomes, outcome="duplicate"), outcome="sent"), "ended_twice"),
    ("DuplicateOfNothing", lambda h: change(find(h.outcomes, outcome="duplicate"), original={
        "input": {"partition": 0, "offset": 500}}), "duplicate_of_nothing"),
    ("SentNotExecuted", lambda h: h.requests.remove(find(h.requests, message_id="s3")), "sent_not_executed"),
    ("FailedButExecuted", lambda h: find(h.requests, fault="reject").update(executed=True), "executed_not_sent"),
    ("ExpiredButExecuted", lambda h: execute(h, "late", "m", 300), "executed_not_sent"),
    ("ExpiredLateExecuted", lambda h: execute(h, "late", "m", 2000), "too_late"),
    ("ResolvedFailedButExecuted", lambda h: h.outcomes.append(h.record("postlane.outcomes", b"unsure", {
        "type": "resolution", "outcome": "failed", "recipient_id": "unsure", "of": json.loads(
            find(h.outcomes, outcome="ambiguous").value)["input"]}, 4000)), "executed_not_sent"),
    ("ExecutedUnknown", lambda h: h.requests.append({**h.requests[0], "n": 98, "message_id": "ghost", "tag": "ghost",
                                                     "idempotency_key": "ghost"}), "executed_unknown"),
    ("WrongBody", spoil_tag, "wrong_body"),
    ("StepsSwapped", swap_steps, "order"),
    ("OverlappingRequests", lambda h: move(find(h.requests, message_id="s3"), 505), "overlap"),
    ("SpacingTooShort", lambda h: move(find(h.requests, message_id="s3"), 515), "spacing"),
    ("GapNotSkipped", lambda h: change(find(h.outcomes, message_id="k3"), skipped_steps=[]), "gap"),
    ("AfterAmbiguousStep", lambda h: change(find(h.outcomes, message_id="s1"), outcome="ambiguous",
                                            reason="no_idempotency"), "halt"),
    ("OutcomesOutOfOrder", swap_outcomes, "outcome_order"),
    ("SuppressedExecuted", lambda h: execute(h, "stopped", "m2", 1500), "suppressed"),
    ("SuppressedAddressExecuted", lambda h: execute(h, "bounced", "m", 1200), "suppressed"),
    ("SuppressedBeforeProduced", lambda h: (setattr(h.suppressions[0], "timestamp_ms", START_MS - 100),
                                            move(h.requests[[r["message_id"] for r in h.requests].index("m1")], 1)),
     "suppressed"),
    ("SuppressedWithoutCause", lambda h: h.suppressions.pop(0), "suppressed_without_cause"),
    ("ExpiredWithoutCause", lambda h: change(
        next(r for r in h.sends if r.key == b"late"), expires_at=at(100_000)), "expired_without_cause"),
]


def test_good_history_holds():
    report = good_history().verdict(min_suppressed=2, min_requests_by_fault={"throttle": 1})
    assert report.verdict == "HELD", render(report)
    assert report.figures["executed"] == 8
    assert report.figures["ambiguous_executed"] == 1


@pytest.mark.parametrize("spoil,rule", [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_planted_fault_is_caught(spoil, rule):
    history = good_history()
    spoil(history)
    report = history.verdict(pipe_slack_ms=100, clock_slack_ms=20)
    assert rule in report.counts, render(report)
    assert report.exit_code == 1


def test_send_at_and_delay_are_judged():
    h = History()
    early = h.send("early", 0, message_id="m", send_at=at(5000))
    h.request(early, 1000)
    h.outcome(early, "sent", "accepted", 1020)
    for step, ms in ((1, 100), (2, 1100)):
        record = h.send("drip", 0, message_id=f"d{step}", sequence={"id": "drip", "step": step},
                        delay_after_previous_ms=3000)
        h.request(record, ms, message=f"d{step}")
        h.outcome(record, "sent", "accepted", ms + 20, f"d{step}")
    report = h.verdict()
    assert report.counts == {"too_early": 1, "spacing": 1}, render(report)


def test_nothing_happened_is_invalid_not_a_pass():
    report = History().verdict()
    assert report.verdict == "INVALID"
    assert report.exit_code == 2
    faults = good_history().verdict(min_requests_by_fault={"outage": 1})
    assert faults.verdict == "INVALID"


def test_within_the_freshness_bound_is_no_violation():
    h = History()
    record = h.send("ann", 0, message_id="m")
    h.suppress("ann", 100)
    h.request(record, 300)  # 197 ms after the acknowledgement, F is 250
    h.outcome(record, "sent", "accepted", 320)
    report = h.verdict()
    assert report.verdict == "HELD", render(report)
    assert report.figures["largest_suppression_margin_ms"] == pytest.approx(197)


def test_resubscribed_may_be_mailed_again():
    h = History()
    h.suppress("ann", 0)
    h.suppress("ann", 1000, action="unsuppress")
    record = h.send("ann", 2000, message_id="m")
    h.request(record, 3000)
    h.outcome(record, "sent", "accepted", 3020)
    assert h.verdict().verdict == "HELD"
    h.suppressions.append(h.record("postlane.suppressions", b"ann", {
        "action": "suppress", "reason": "complaint", "occurred_at": at(500)}, 1500))
    h.receipt(h.suppressions[-1], "applied", 1520)
    assert h.verdict().of("suppressed") == 1


@pytest.mark.parametrize("events,category,blocked", [
    ([("suppress", "unsubscribe", None, 1)], "marketing", True),
    ([("suppress", "unsubscribe", None, 1)], "transactional", False),
    ([("suppress", "complaint", None, 1)], "transactional", True),
    ([("suppress", "unsubscribe", {"category": "News"}, 1)], "news", True),
    ([("suppress", "unsubscribe", {"category": "news"}, 1)], "marketing", False),
    ([("suppress", "unsubscribe", {"sequence": "drip"}, 1)], "marketing", True),
    ([("suppress", "unsubscribe", None, 5), ("unsuppress", "unsubscribe", None, 4)], "marketing", True),
    ([("suppress", "unsubscribe", None, 5), ("unsuppress", "unsubscribe", None, 5)], "marketing", True),
    ([("suppress", "unsubscribe", None, 5), ("unsuppress", "unsubscribe", None, 6)], "marketing", False),
    ([("unsuppress", "unsubscribe", None, 6), ("suppress", "unsubscribe", None, 5)], "marketing", False),
    ([("suppress", "complaint", None, 5), ("unsuppress", "unsubscribe", None, 6)], "marketing", True),
    ([("suppress", "complaint", None, 5), ("unsuppress", "manual", None, 6)], "marketing", False),
    ([("suppress", "no_such_reason", None, 1)], "transactional", True),
    ([("suppress", "complaint", "bad scope", 1)], "transactional", True),
], ids=lambda value: str(value)[:60])
def test_suppressions_fold(events, category, blocked):
    for cautious in (False, True):
        view = View(cautious, {"transactional"})
        for action, reason, scope, second in events:
            event = {"action": action, "reason": reason, "occurred_at": at(second * 1000)}
            if scope is not None:
                event["scope"] = scope
            view.apply(read_suppression(json.dumps(event).encode(), (START_MS + 60_000) * 1000))
        assert view.blocks(category, "drip", (START_MS + 70_000) * 1000) == blocked


def test_soft_bounce_ends():
    view = View(False, set())
    event = {"action": "suppress", "reason": "soft_bounce", "occurred_at": at(0), "expires_at": at(1000)}
    view.apply(read_suppression(json.dumps(event).encode(), START_MS * 1000))
    assert view.blocks("marketing", None, START_MS * 1000 + MICROS // 2)
    assert not view.blocks("marketing", None, START_MS * 1000 + MICROS)


def test_murmur2_is_javas():
    for key, expected in ((b"21", -973932308), (b"foobar", -790332482), (b"abc", 479470107),
                          (b"a-little-bit-longer-string", -1486304829)):
        assert murmur2(key) == expected & 0xFFFFFFFF


def test_timeline_names_no_address():
    history = good_history()
    execute(history, "bounced", "m", 1200)
    text = render(history.verdict())
    assert "timeline of bounced" in text
    assert "@example.com" not in text
