"""The rules. Each is a generator of violations over the facts; none shares state with another.

Rules that need only sets are SQL; rules that need a recipient's history walk the facts sorted by recipient.
"""

import functools
import itertools
import json
from collections import defaultdict, namedtuple
from dataclasses import dataclass

from checker_events import MICROS, Suppression, View

# promise: G1..G4, or "record" for what belongs to no single promise.
Violation = namedtuple("Violation", "rule promise recipient text")

ENDS = ("sent", "suppressed_at_send", "expired", "failed", "ambiguous")
RECORD_LEVEL = ("missing_key", "misrouted_key", "too_large", "malformed_json", "invalid_field", "key_mismatch",
                "unknown_route")


@functools.lru_cache(maxsize=None)
def _row_type(names):
    return namedtuple("Row", names)


def _rows(facts, sql, *arguments):
    cursor = facts.db.execute(sql, arguments)
    return map(_row_type(tuple(column[0] for column in cursor.description))._make, cursor)


# G4: nothing is lost, nothing is invented ----------------------------------------------------------------------------

def every_input_has_one_outcome(facts, _):
    topic = facts.policy.sends
    for row in _rows(facts, """
            SELECT i.p, i.o, i.recipient, count(x.o) AS n, group_concat(x.outcome) AS what FROM inputs i
            LEFT JOIN outcomes x ON x.type = 'outcome' AND x.topic = ? AND x.in_p = i.p AND x.in_o = i.o
            GROUP BY i.p, i.o HAVING n <> 1""", topic):
        rule = "omission" if row.n == 0 else "outcome_twice"
        yield Violation(rule, "G4", row.recipient, f"input {row.p}@{row.o} has {row.n} outcomes ({row.what})")
    for row in _rows(facts, """
            SELECT x.* FROM outcomes x LEFT JOIN inputs i ON i.p = x.in_p AND i.o = x.in_o
            WHERE x.type IN ('outcome', 'resolution') AND (x.topic IS NOT ? OR i.p IS NULL)""", topic):
        yield Violation("excess", "G4", row.recipient,
                        f"outcome {row.p}@{row.o} is about {row.topic} {row.in_p}@{row.in_o}, which does not exist")


def outcomes_are_well_formed(facts, _):
    for row in _rows(facts, "SELECT * FROM outcomes WHERE problem IS NOT NULL OR type IS NULL"
                            " OR type NOT IN ('outcome', 'resolution', 'suppression')"):
        yield Violation("malformed_outcome", "G4", row.recipient,
                        f"record {row.p}@{row.o} of the outcomes topic {row.problem or 'has an unknown type'}")
    for row in _rows(facts, """
            SELECT x.p AS xp, x.o AS xo, x.in_p, x.in_o, x.recipient AS said, x.message AS said_message, i.recipient,
              i.message FROM outcomes x JOIN inputs i ON i.p = x.in_p AND i.o = x.in_o WHERE x.type = 'outcome'
              AND (x.p <> x.in_p OR x.recipient IS NOT i.recipient AND i.problem IS NULL
                   OR x.message IS NOT i.message AND i.plain)"""):
        yield Violation("wrong_outcome", "G4", row.recipient,
                        f"outcome {row.xp}@{row.xo} of input {row.in_p}@{row.in_o} names {row.said!r} "
                        f"{row.said_message!r} instead of {row.recipient!r} {row.message!r} (or lies elsewhere)")


def every_suppression_has_a_receipt(facts, _):
    topic = facts.policy.suppressions
    for row in _rows(facts, """
            SELECT s.p, s.o, s.subject, s.routed, count(x.o) AS n, group_concat(x.outcome) AS what FROM suppressions s
            LEFT JOIN outcomes x ON x.type = 'suppression' AND x.topic = ? AND x.in_p = s.p AND x.in_o = s.o
            WHERE s.by = 'recipient' GROUP BY s.p, s.o
            HAVING n <> 1 OR s.khash IS NOT NULL AND (what = 'forwarded') = s.routed
              AND (s.routed OR s.action <> 'none')""", topic):
        where = "" if row.routed else ", misrouted"
        yield Violation("receipt", "G4", row.subject,
                        f"suppression {row.p}@{row.o}{where} has {row.n} receipts ({row.what})")
    for row in _rows(facts, """
            SELECT x.* FROM outcomes x LEFT JOIN suppressions s ON s.by = 'recipient' AND s.p = x.in_p AND s.o = x.in_o
            WHERE x.type = 'suppression' AND (s.p IS NULL OR x.topic IS NOT ?)""", topic):
        yield Violation("receipt_of_nothing", "G4", row.recipient, f"receipt {row.p}@{row.o} for no record")
    for row in _rows(facts, """
            SELECT s.khash, s.subject, s.vhash, sum(NOT s.routed) AS away, sum(s.routed) AS home FROM suppressions s
            WHERE s.by = 'recipient' AND s.khash IS NOT NULL GROUP BY s.khash, s.vhash HAVING home < away"""):
        yield Violation("not_forwarded", "G2", row.subject, f"{row.away} misrouted suppressions, {row.home} forwarded")


def dead_letters_match(facts, _):
    policy = facts.policy
    expected = """
        SELECT 0 AS receipt, x.topic, x.in_p, x.in_o, x.recipient, x.reason, i.khash, i.vhash FROM outcomes x
          JOIN inputs i ON i.p = x.in_p AND i.o = x.in_o WHERE x.type = 'outcome' AND x.outcome = 'dead_lettered'
        UNION ALL SELECT 1, x.topic, x.in_p, x.in_o, x.recipient, x.reason, s.khash, s.vhash FROM outcomes x
          JOIN suppressions s ON s.by = 'recipient' AND s.p = x.in_p AND s.o = x.in_o
          WHERE x.type = 'suppression' AND x.outcome = 'rejected'"""
    for row in _rows(facts, f"""
            SELECT e.*, count(l.o) AS n, max(l.omitted) AS omitted, min(l.khash IS e.khash OR l.keyless) AS same_key,
              min(l.vhash IS e.vhash) AS same_value, max(l.reason) AS letter_reason
            FROM ({expected}) e LEFT JOIN letters l ON l.topic = e.topic AND l.in_p = e.in_p AND l.in_o = e.in_o
            GROUP BY e.receipt, e.in_p, e.in_o"""):
        place = f"{row.topic} {row.in_p}@{row.in_o} ({row.reason})"
        if row.n != 1:
            yield Violation("dead_letter_count", "G4", row.recipient, f"{place} has {row.n} dead letters")
        elif not row.same_key or not (row.same_value or row.omitted):
            yield Violation("dead_letter_bytes", "G4", row.recipient, f"the dead letter of {place} has other bytes")
        elif row.letter_reason is not None and row.letter_reason != row.reason:
            yield Violation("dead_letter_reason", "G4", row.recipient,
                            f"the dead letter of {place} says {row.letter_reason}")
    for row in _rows(facts, f"""
            SELECT l.* FROM letters l LEFT JOIN ({expected}) e
            ON e.topic = l.topic AND e.in_p = l.in_p AND e.in_o = l.in_o
            WHERE e.topic IS NULL AND l.topic IS NOT ?""", policy.address_suppressions):
        yield Violation("dead_letter_of_nothing", "G4", None,
                        f"dead letter {row.p}@{row.o} for {row.topic} {row.in_p}@{row.in_o}, which has none")


def only_broken_records_are_refused(facts, _):
    marks = ",".join("?" * len(RECORD_LEVEL))
    for row in _rows(facts, f"""
            SELECT i.*, x.outcome, x.reason FROM inputs i JOIN outcomes x ON x.type = 'outcome' AND x.in_p = i.p
              AND x.in_o = i.o WHERE i.plain AND x.outcome = 'dead_lettered' AND x.reason IN ({marks})
              OR i.problem IS NOT NULL AND (x.outcome <> 'dead_lettered' OR x.reason <> i.problem)""", *RECORD_LEVEL):
        expected = f"should be dead-lettered as {row.problem}" if row.problem else "is valid"
        yield Violation("wrong_verdict", "G4", row.recipient,
                        f"input {row.p}@{row.o} {expected} but ended {row.outcome}/{row.reason}")


# G3: nothing is executed twice ---------------------------------------------------------------------------------------

def nothing_is_executed_twice(facts, _):
    if facts.policy.resend_allowed:
        return
    for row in _rows(facts, """
            SELECT recipient, message, count(*) AS times, group_concat(n) AS numbers, count(DISTINCT key) AS keys
            FROM requests WHERE executed AND NOT replayed AND message IS NOT NULL GROUP BY recipient, message
            HAVING times > 1"""):
        yield Violation("executed_twice", "G3", row.recipient,
                        f"{row.message!r} was executed {row.times} times (requests {row.numbers}, {row.keys} keys)")


def one_message_has_one_key(facts, _):
    for row in _rows(facts, """
            SELECT recipient, message, count(DISTINCT key) AS keys, group_concat(DISTINCT n) AS numbers FROM requests
            WHERE message IS NOT NULL GROUP BY recipient, message HAVING keys > 1"""):
        yield Violation("key_changed", "G3", row.recipient,
                        f"{row.message!r} was tried under {row.keys} idempotency keys (requests {row.numbers})")
    for row in _rows(facts, """
            SELECT key, min(recipient) AS recipient, count(*) AS n FROM
              (SELECT DISTINCT key, recipient, message FROM requests WHERE key IS NOT NULL AND message IS NOT NULL)
            GROUP BY key HAVING n > 1"""):
        yield Violation("key_shared", "G3", row.recipient, f"{row.n} messages share one idempotency key")


def a_message_ends_once(facts, _):
    marks = ",".join("?" * len(ENDS))
    for row in _rows(facts, f"""
            SELECT i.recipient, i.message, count(*) AS n, group_concat(x.outcome) AS what FROM inputs i
            JOIN outcomes x ON x.type = 'outcome' AND x.in_p = i.p AND x.in_o = i.o WHERE i.message IS NOT NULL
              AND x.outcome IN ({marks}) AND x.reason IS NOT 'older_than_ledger'
            GROUP BY i.recipient, i.message HAVING n > 1""", *ENDS):
        yield Violation("ended_twice", "G3", row.recipient, f"{row.message!r} ended {row.n} times: {row.what}")


def duplicates_have_an_original(facts, _):
    for row in _rows(facts, """
            SELECT i.p, i.o, i.recipient, i.message, x.orig_p, x.orig_o, y.outcome AS original FROM inputs i
            JOIN outcomes x ON x.type = 'outcome' AND x.in_p = i.p AND x.in_o = i.o
            LEFT JOIN inputs j ON j.p = x.orig_p AND j.o = x.orig_o AND j.recipient = i.recipient
              AND j.message = i.message AND (j.p <> i.p OR j.o <> i.o)
            LEFT JOIN outcomes y ON y.type = 'outcome' AND y.in_p = j.p AND y.in_o = j.o
            WHERE x.outcome = 'duplicate' AND (y.outcome IS NULL OR y.outcome = 'duplicate'
              OR (y.outcome = 'dead_lettered' AND y.decided_us < x.decided_us))"""):
        yield Violation("duplicate_of_nothing", "G4", row.recipient,
                        f"input {row.p}@{row.o} is called a duplicate of {row.orig_p}@{row.orig_o}, "
                        f"which is {row.original or 'no input of that message'}")


# Agreement of the outcomes with what the ESP did ---------------------------------------------------------------------

ENDED = """
    CREATE TEMP TABLE ended AS SELECT i.recipient, i.message, i.p, i.o, i.tag, x.outcome, x.reason,
      (SELECT max(r.outcome) FROM outcomes r WHERE r.type = 'resolution' AND r.in_p = i.p AND r.in_o = i.o)
        AS resolution,
      (SELECT count(*) FROM requests q WHERE q.recipient = i.recipient AND q.message = i.message AND q.executed)
        AS executed
    FROM inputs i JOIN outcomes x ON x.type = 'outcome' AND x.in_p = i.p AND x.in_o = i.o
    WHERE x.outcome IN ('sent', 'suppressed_at_send', 'expired', 'failed', 'ambiguous') AND i.message IS NOT NULL
      AND x.reason IS NOT 'older_than_ledger';
    CREATE INDEX ended_by_message ON ended (recipient, message);"""


def outcomes_agree_with_the_esp(facts, report):
    ambiguous_sent = 0
    facts.db.executescript(ENDED)
    for row in _rows(facts, "SELECT * FROM ended"):
        end = row.outcome if row.resolution is None else row.resolution
        if end == "ambiguous":
            ambiguous_sent += bool(row.executed)
        elif end == "sent" and not row.executed:
            yield Violation("sent_not_executed", "G4", row.recipient, f"{row.message!r} is `sent`, the ESP has nothing")
        elif end != "sent" and row.executed:
            yield Violation("executed_not_sent", "G3", row.recipient,
                            f"{row.message!r} is `{end}/{row.reason}`, but the ESP executed it")
    report.figures["ambiguous_executed"] = ambiguous_sent
    for row in _rows(facts, """
            SELECT q.* FROM requests q LEFT JOIN ended e
            ON e.recipient = q.recipient AND e.message = q.message WHERE e.p IS NULL"""):
        yield Violation("executed_unknown" if row.executed else "request_unknown", "G3", row.recipient,
                        f"request {row.n} ({row.message!r}, tag {row.tag!r}) belongs to no message that ended")
    for row in _rows(facts, """
            SELECT q.n, q.recipient, q.message, q.tag, e.tag AS admitted FROM requests q JOIN ended e
            ON e.recipient = q.recipient AND e.message = q.message
            WHERE q.tag IS NOT NULL AND e.tag IS NOT NULL AND q.tag <> e.tag"""):
        yield Violation("wrong_body", "G3", row.recipient,
                        f"request {row.n} of {row.message!r} carries tag {row.tag!r}, admitted was {row.admitted!r}")


# Histories by recipient ----------------------------------------------------------------------------------------------

HISTORY = """
    SELECT q.n, q.t_rx_us, q.t_done_us, q.executed, q.replayed, q.recipient, q.message, i.p, i.o, i.ts_us, i.sequence,
      i.step, i.category, i.address, i.send_at_us, i.delay_ms, i.expires_at_us
    FROM requests q JOIN inputs i ON i.recipient = q.recipient AND i.message = q.message
    JOIN outcomes x ON x.type = 'outcome' AND x.in_p = i.p AND x.in_o = i.o
      AND x.outcome NOT IN ('duplicate', 'dead_lettered')
    ORDER BY q.recipient, q.t_rx_us, q.n"""


def _histories(facts):
    return itertools.groupby(_rows(facts, HISTORY), key=lambda row: row.recipient)


def one_request_at_a_time(facts, report):
    """Also the times that the events themselves ask for."""
    policy = facts.policy
    slack, late_slack = policy.clock_slack_ms * 1000, (policy.clock_slack_ms + policy.pipe_slack_ms) * 1000
    for recipient, rows in _histories(facts):
        last = None
        for row in rows:
            if last is not None and last.t_done_us is not None:
                end = min(last.t_done_us, last.t_rx_us + policy.request_timeout_ms * 1000)
                if row.t_rx_us < end:
                    yield Violation("overlap", "G1", recipient,
                                    f"request {row.n} came {end - row.t_rx_us} us before request {last.n} was answered")
            last = row
            if row.send_at_us is not None and row.t_rx_us < row.send_at_us - slack:
                yield Violation("too_early", "G1", recipient,
                                f"request {row.n} came {(row.send_at_us - row.t_rx_us) / 1000:.0f} ms before send_at")
            if row.expires_at_us is not None and row.t_rx_us > row.expires_at_us + late_slack:
                yield Violation("too_late", "G1", recipient,
                                f"request {row.n} came {(row.t_rx_us - row.expires_at_us) / 1000:.0f} ms after "
                                "expires_at")


@dataclass
class _Step:
    """How one step of a sequence ended, from the outcomes."""
    outcome: str
    reason: str
    decided_us: int | None
    resolved: bool
    accepted_us: int | None = None


def _steps_by_sequence(facts):
    """Yields (recipient, sequence, {step: _Step}, skipped steps, requests in order of arrival)."""
    marks = ",".join("?" * len(ENDS))
    ends = _rows(facts, f"""
        SELECT i.recipient, i.sequence, i.step, x.outcome, x.reason, x.decided_us, x.skipped,
          (SELECT count(*) FROM outcomes r WHERE r.type = 'resolution' AND r.in_p = i.p AND r.in_o = i.o) AS resolved
        FROM inputs i JOIN outcomes x ON x.type = 'outcome' AND x.in_p = i.p AND x.in_o = i.o
        WHERE i.sequence IS NOT NULL AND x.outcome IN ({marks}) ORDER BY i.recipient""", *ENDS)
    ends_by_recipient = itertools.groupby(ends, key=lambda row: row.recipient)
    current, rows = next(ends_by_recipient, (None, ()))
    for recipient, requests in _histories(facts):
        while current is not None and current < recipient:
            current, rows = next(ends_by_recipient, (None, ()))
        steps, skipped, by_sequence = defaultdict(dict), defaultdict(set), defaultdict(list)
        for row in rows if current == recipient else ():
            steps[row.sequence][row.step] = _Step(row.outcome, row.reason, row.decided_us, row.resolved > 0)
            skipped[row.sequence].update(json.loads(row.skipped))
        for request in requests:
            if request.sequence is not None:
                by_sequence[request.sequence].append(request)
        for sequence, ordered in by_sequence.items():
            yield recipient, sequence, steps[sequence], skipped[sequence], ordered


def sequences_are_in_order(facts, report):
    policy = facts.policy
    sequences = 0
    for recipient, sequence, steps, skipped, requests in _steps_by_sequence(facts):
        sequences += 1
        highest, first = 0, min(steps) if policy.first_step == "adopt" and steps else 1
        last_accepted = None
        for request in requests:
            if request.step < highest:
                yield Violation("order", "G1", recipient, f"request {request.n}: step {request.step} of {sequence!r} "
                                                          f"came after step {highest}")
            elif request.step > highest:
                yield from _lower_steps_ended(policy, recipient, sequence, steps, skipped, request, first)
            highest = max(highest, request.step)
            yield from _spacing(policy, report, recipient, request, last_accepted)
            if request.executed and not request.replayed:
                accepted = request.t_done_us or request.t_rx_us
                last_accepted = (request.step, request.t_rx_us)
                if request.step in steps:
                    steps[request.step].accepted_us = accepted
    report.figures["sequences"] = sequences


def _lower_steps_ended(policy, recipient, sequence, steps, skipped, request, first):
    where = f"request {request.n}: step {request.step} of {sequence!r} went out"
    slack = policy.clock_slack_ms * 1000

    def still_halts(end):
        return end.decided_us is None or request.t_rx_us < end.decided_us + policy.max_halt_ms * 1000 - slack

    for lower in range(first, request.step):
        end = steps.get(lower)
        if end is None:
            if lower not in skipped:
                yield Violation("gap", "G1", recipient, f"{where} though step {lower} never ended nor was skipped")
        elif end.outcome == "sent":
            if end.accepted_us is None or end.accepted_us > request.t_rx_us:
                yield Violation("order", "G1", recipient, f"{where} before step {lower} was accepted")
        elif end.outcome == "ambiguous":
            if policy.on_ambiguous == "halt" and not end.resolved and still_halts(end):
                yield Violation("halt", "G1", recipient, f"{where} though step {lower} is ambiguous")
        elif policy.on_not_sent == "halt" and end.reason != "sequence_halted" and still_halts(end):
            yield Violation("halt", "G1", recipient, f"{where} though step {lower} ended {end.outcome}")
        elif end.decided_us is not None and end.decided_us > request.t_rx_us + slack:
            yield Violation("order", "G1", recipient, f"{where} before step {lower} ended {end.outcome}")


def _spacing(policy, report, recipient, request, last_accepted):
    if last_accepted is None or request.step <= last_accepted[0]:
        return
    gap_ms = (request.t_rx_us - last_accepted[1]) / 1000
    smallest = report.figures.get("smallest_spacing_ms")
    report.figures["smallest_spacing_ms"] = gap_ms if smallest is None else min(smallest, gap_ms)
    wanted = policy.min_spacing_ms
    if request.step == last_accepted[0] + 1:
        wanted = max(wanted, request.delay_ms or 0)
    if gap_ms < wanted - policy.clock_slack_ms:
        yield Violation("spacing", "G1", recipient,
                        f"request {request.n} came {gap_ms:.0f} ms after the step before it, not {wanted}")


def outcomes_are_in_order(facts, _):
    previous = None
    for row in _rows(facts, """
            SELECT i.recipient, i.sequence, i.step, x.o FROM inputs i JOIN outcomes x ON x.type = 'outcome'
              AND x.in_p = i.p AND x.in_o = i.o WHERE i.sequence IS NOT NULL AND x.outcome = 'sent'
            ORDER BY i.recipient, i.sequence, x.o"""):
        if previous is not None and previous[:2] == row[:2] and previous.step > row.step:
            yield Violation("outcome_order", "G1", row.recipient,
                            f"`sent` of step {previous.step} of {row.sequence!r} precedes that of step {row.step}")
        previous = row


# G2: nobody is mailed after unsubscribing ----------------------------------------------------------------------------

class _Suppressions:
    """Events of one subject in the order of the topic, with when they could and when they had to be known."""

    def __init__(self, facts):
        self._facts = facts
        self._cache = {}

    def of(self, by, subject):
        if self._cache.get("who") != (by, subject):
            rows = _rows(self._facts, "SELECT * FROM suppressions WHERE by = ? AND subject = ? AND routed"
                                      " ORDER BY p, o", by, subject)
            self._cache = {"who": (by, subject), "events": [
                (row.start_us, row.ack_us, Suppression(row.action, row.reason, row.scope, row.occurred_us,
                                                       row.expires_us, bool(row.certain))) for row in rows]}
        return self._cache["events"]

    def must_block(self, by, subject, request, cut_us):
        """Whether every state that the view may be in at the request forbids it, and since when it must."""
        events = self.of(by, subject)
        known = max((i for i, (_, ack, _) in enumerate(events) if ack <= cut_us), default=-1)
        if known < 0:
            return None
        policy = self._facts.policy
        view = View(cautious=False, transactional=policy.transactional)
        slack = policy.clock_slack_ms * 1000
        for index, (start, _, event) in enumerate(events):
            if index > known and start > request.t_rx_us + slack:
                continue
            view.apply(event)
            if index >= known and not view.blocks(request.category, request.sequence, request.t_rx_us, slack):
                return None
        return max(ack for _, ack, _ in events[:known + 1] if ack <= cut_us)

    def may_block(self, by, subject, category, sequence, at_us):
        """Whether any prefix known by then justifies `suppressed`."""
        policy = self._facts.policy
        view = View(cautious=True, transactional=policy.transactional)
        for start, _, event in self.of(by, subject):
            if start > at_us + policy.clock_slack_ms * 1000:
                return False
            view.apply(event)
            if view.blocks(category, sequence, at_us, policy.clock_slack_ms * 1000):
                return True
        return False


def nobody_is_mailed_after_unsubscribing(facts, report):
    policy = facts.policy
    allowance = (policy.max_staleness_ms + policy.pipe_slack_ms) * 1000
    suppressions = _Suppressions(facts)
    largest = None
    for recipient, rows in _histories(facts):
        for row in rows:
            for by, subject in (("recipient", recipient), ("address", row.address)):
                if subject is None:
                    continue
                # The margin is how long after an acknowledged suppression a request still began.
                since = suppressions.must_block(by, subject, row, row.t_rx_us)
                if since is not None:
                    largest = max(largest or 0, row.t_rx_us - since)
                cut = max(row.t_rx_us - allowance, row.ts_us)
                since = suppressions.must_block(by, subject, row, cut)
                if since is not None:
                    yield Violation("suppressed", "G2", recipient,
                                    f"request {row.n} began {(row.t_rx_us - since) / 1000:.0f} ms after a suppression "
                                    f"by {by} was acknowledged (sent event {(row.ts_us - since) / 1000:+.0f} ms)")
    report.figures["largest_suppression_margin_ms"] = None if largest is None else largest / 1000


def suppressed_outcomes_have_a_cause(facts, _):
    suppressions = _Suppressions(facts)
    for row in _rows(facts, """
            SELECT i.*, x.decided_us FROM inputs i JOIN outcomes x ON x.type = 'outcome' AND x.in_p = i.p
              AND x.in_o = i.o WHERE x.outcome = 'suppressed_at_send' ORDER BY i.recipient"""):
        at = row.decided_us or 2**62
        if not any(subject is not None and suppressions.may_block(by, subject, row.category, row.sequence, at)
                   for by, subject in (("recipient", row.recipient), ("address", row.address))):
            yield Violation("suppressed_without_cause", "G4", row.recipient,
                            f"{row.message!r} is `suppressed_at_send`, but no suppression covers it")


def expired_outcomes_have_a_cause(facts, _):
    policy = facts.policy
    for row in _rows(facts, """
            SELECT i.*, x.decided_us FROM inputs i JOIN outcomes x ON x.type = 'outcome' AND x.in_p = i.p
              AND x.in_o = i.o WHERE x.outcome = 'expired' AND x.reason = 'ttl_passed'"""):
        end = row.expires_at_us
        if end is None:
            end = max(row.ts_us, row.send_at_us or 0) + policy.default_ttl_ms * 1000
        if row.decided_us is not None and row.decided_us < end - MICROS:
            yield Violation("expired_without_cause", "G4", row.recipient,
                            f"{row.message!r} expired {(end - row.decided_us) / MICROS:.0f} s before its time")


RULES = (every_input_has_one_outcome, outcomes_are_well_formed, every_suppression_has_a_receipt, dead_letters_match,
         only_broken_records_are_refused, nothing_is_executed_twice, one_message_has_one_key, a_message_ends_once,
         duplicates_have_an_original, outcomes_agree_with_the_esp, one_request_at_a_time, sequences_are_in_order,
         outcomes_are_in_order, nobody_is_mailed_after_unsubscribing, suppressed_outcomes_have_a_cause,
         expired_outcomes_have_a_cause)
