#!/usr/bin/python3
"""The independent judge of a run of postlane.

It reads the input topics, the outcomes and dead letters (read_committed), and the sandbox ESP's record of requests;
postlane's own counters, logs and ledger are not asked. It shares no code with postlane.

    checker.py --bootstrap HOST:PORT --config postlane.toml --record sandbox.ndjson [--acks acks.ndjson] [--json]

Exit codes: 0 the four promises held; 1 one was broken; 2 the run proves nothing (too little happened).
As a library: `verdict = check_run(...)`, or fill a `Facts` by hand and call `judge(facts)`.
"""

import argparse
import datetime
import json
import sys
from collections import Counter
from dataclasses import dataclass, field

from checker_events import MICROS
from checker_facts import Facts, Policy
from checker_judge import RULES, Violation

MAX_VIOLATIONS_PER_RULE = 1000  # kept; all are counted
MAX_TIMELINES = 5
MAX_TIMELINE_LINES = 60


@dataclass
class Report:
    """What was found. `invalid` names why the run proves nothing."""
    violations: list = field(default_factory=list)
    counts: Counter = field(default_factory=Counter)  # violations by rule
    invalid: list = field(default_factory=list)
    outcomes: list = field(default_factory=list)      # (type, outcome, reason, count)
    requests: list = field(default_factory=list)      # (status, fault, executed, count)
    figures: dict = field(default_factory=dict)
    timelines: dict = field(default_factory=dict)     # recipient -> lines

    @property
    def verdict(self):
        if self.counts:
            return "VIOLATED"
        return "INVALID" if self.invalid else "HELD"

    @property
    def exit_code(self):
        return {"HELD": 0, "VIOLATED": 1, "INVALID": 2}[self.verdict]

    def of(self, *rules):
        """How many violations there are of the named rules."""
        return sum(self.counts[rule] for rule in rules)

    def outcome_count(self, outcome, reason=None):
        return sum(n for kind, what, why, n in self.outcomes
                   if kind == "outcome" and what == outcome and reason in (None, why))

    def to_dict(self):
        return {"verdict": self.verdict, "violations": [v._asdict() for v in self.violations],
                "violation_counts": dict(self.counts), "invalid": self.invalid, "figures": self.figures,
                "outcomes": [dict(zip(("type", "outcome", "reason", "count"), row)) for row in self.outcomes],
                "requests": [dict(zip(("status", "fault", "executed", "replayed", "count"), row))
                             for row in self.requests],
                "timelines": self.timelines}


def judge(facts):
    """Finishes the facts and applies every rule."""
    facts.finish()
    report = Report()
    _count(facts, report)
    for rule in RULES:
        for violation in rule(facts, report):
            report.counts[violation.rule] += 1
            if report.counts[violation.rule] <= MAX_VIOLATIONS_PER_RULE:
                report.violations.append(violation)
    _vacuity(facts, report)
    for violation in report.violations:
        who = violation.recipient
        if who is not None and who not in report.timelines and len(report.timelines) < MAX_TIMELINES:
            report.timelines[who] = timeline(facts, who)
    return report


def check_run(bootstrap, policy, record_path, acks_path=None):
    with Facts(policy) as facts:
        facts.load_kafka(bootstrap)
        facts.load_record(record_path)
        if acks_path:
            facts.load_acks(acks_path)
        return judge(facts)


def _count(facts, report):
    db, figures = facts.db, report.figures
    report.outcomes = db.execute("SELECT type, outcome, reason, count(*) FROM outcomes GROUP BY 1, 2, 3"
                                 " ORDER BY type, count(*) DESC").fetchall()
    report.requests = db.execute("SELECT status, fault, executed, replayed, count(*) FROM requests"
                                 " GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC").fetchall()
    for name, sql in (
            ("inputs", "SELECT count(*) FROM inputs"),
            ("recipients", "SELECT count(DISTINCT recipient) FROM inputs"),
            ("suppressions", "SELECT count(*) FROM suppressions WHERE by = 'recipient'"),
            ("address_suppressions", "SELECT count(*) FROM suppressions WHERE by = 'address'"),
            ("dead_letters", "SELECT count(*) FROM letters"),
            ("requests", "SELECT count(*) FROM requests"),
            ("executed", "SELECT count(*) FROM requests WHERE executed AND NOT replayed"),
            ("replayed", "SELECT count(*) FROM requests WHERE replayed")):
        figures[name] = db.execute(sql).fetchone()[0]
    figures["ambiguous"] = report.outcome_count("ambiguous")
    ended = sum(report.outcome_count(outcome) for outcome in ("sent", "failed", "ambiguous"))
    figures["ambiguous_rate"] = figures["ambiguous"] / ended if ended else 0.0


def _vacuity(facts, report):
    """A run in which nothing happened breaks no promise, and proves nothing either."""
    policy, figures = facts.policy, report.figures
    suppressed = report.outcome_count("suppressed_at_send")
    if figures["executed"] < policy.min_executed:
        report.invalid.append(f"{figures['executed']} executions, at least {policy.min_executed} are needed")
    if suppressed < policy.min_suppressed:
        report.invalid.append(f"{suppressed} suppressed, at least {policy.min_suppressed} are needed")
    by_fault = Counter()
    for _, fault, _, _, count in report.requests:
        by_fault[fault] += count
    for fault, least in policy.min_requests_by_fault.items():
        if by_fault[fault] < least:
            report.invalid.append(f"fault {fault!r} fired {by_fault[fault]} times, at least {least} are needed")


def _clock(us):
    if us is None:
        return "--:--:--.------"
    return datetime.datetime.fromtimestamp(us / MICROS, datetime.timezone.utc).strftime("%H:%M:%S.%f")


def timeline(facts, recipient):
    """Everything about one recipient in the order of time, as lines of text. No addresses."""
    db, events = facts.db, []
    for row in db.execute("SELECT ts_us, p, o, message, sequence, step, problem, tag FROM inputs WHERE recipient = ?",
                          (recipient,)):
        at, p, o, message, sequence, step, problem, tag = row
        events.append((at, f"input      {p}@{o} {message} {f'{sequence}/{step} ' if sequence else ''}"
                           f"{f'[{problem}] ' if problem else ''}tag={tag}"))
    addresses = [row[0] for row in db.execute("SELECT DISTINCT address FROM inputs WHERE recipient = ?", (recipient,))]
    for by, subject in [("recipient", recipient)] + [("address", address) for address in addresses]:
        for row in db.execute("SELECT start_us, ack_us, p, o, action, reason, scope FROM suppressions"
                              " WHERE by = ? AND subject = ?", (by, subject)):
            events.append((row[1], f"{row[4]:10} {row[2]}@{row[3]} by {by}: {row[5]} of {row[6]}, acknowledged"))
    for row in db.execute("SELECT t_rx_us, n, message, status, executed, replayed, fault, key FROM requests"
                          " WHERE recipient = ?", (recipient,)):
        what = "replayed" if row[5] else "EXECUTED" if row[4] else "not executed"
        events.append((row[0], f"request    {row[1]} {row[2]} -> {row[3]} {what} {row[6]} key={row[7]}"))
    for row in db.execute("SELECT coalesce(x.decided_us, x.ts_us), x.type, x.outcome, x.reason, x.in_p, x.in_o,"
                          " x.attempts FROM outcomes x WHERE x.recipient = ?", (recipient,)):
        events.append((row[0], f"{row[1] or '?':10} {row[2]}/{row[3]} of {row[4]}@{row[5]} attempts={row[6]}"))
    events.sort(key=lambda event: event[0] or 0)
    lines = [f"{_clock(at)}  {what}" for at, what in events[:MAX_TIMELINE_LINES]]
    if len(events) > MAX_TIMELINE_LINES:
        lines.append(f"… {len(events) - MAX_TIMELINE_LINES} more")
    return lines


PROMISES = {"G1": "order", "G2": "suppression", "G3": "no duplicate", "G4": "no loss"}


def render(report):
    """The report for people."""
    lines = [f"{'outcome':22} {'reason':28} {'count':>8}"]
    for kind, outcome, reason, count in report.outcomes:
        name = outcome if kind == "outcome" else f"{kind}: {outcome}"
        lines.append(f"{str(name):22} {str(reason or '-'):28} {count:8}")
    lines += ["", f"{'ESP answered':22} {'fault':28} {'count':>8}"]
    for status, fault, executed, replayed, count in report.requests:
        did = "replayed" if replayed else "executed" if executed else "refused"
        shown = fault if fault not in ("", "none") else "-"
        lines.append(f"{f'{status or chr(45)} {did}':22} {shown:28} {count:8}")
    lines.append("")
    for name, value in report.figures.items():
        lines.append(f"{name.replace('_', ' '):36} {f'{value:.4g}' if isinstance(value, float) else value}")
    lines.append("")
    broken = Counter()
    for violation in report.violations:
        broken[violation.promise] += 1
    for promise, title in PROMISES.items():
        state = f"BROKEN ({broken[promise]} violations)" if broken[promise] else "held"
        lines.append(f"{promise} {title:14} {state}")
    for rule, count in report.counts.items():
        lines.append(f"\n{rule}: {count}")
        lines += [f"  {v.recipient}: {v.text}" for v in report.violations if v.rule == rule][:5]
    for recipient, events in report.timelines.items():
        lines += [f"\ntimeline of {recipient}"] + [f"  {event}" for event in events]
    lines += [f"proves nothing: {why}" for why in report.invalid]
    lines += ["", f"verdict: {report.verdict}"]
    return "\n".join(lines)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Judges a run from topics and the sandbox's record.")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--config", help="postlane's configuration file: topics, bounds, policies")
    parser.add_argument("--record", required=True, help="the sandbox's --record file")
    parser.add_argument("--acks", help="NDJSON of {topic, partition, offset, t_send_us, t_ack_us}")
    parser.add_argument("--min-executed", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    policy = Policy.from_config(options.config) if options.config else Policy()
    policy.min_executed = options.min_executed
    report = check_run(options.bootstrap, policy, options.record, options.acks)
    print(json.dumps(report.to_dict(), indent=1) if options.json else render(report))
    return report.exit_code


__all__ = ["Facts", "Policy", "Report", "Violation", "check_run", "judge", "render", "timeline"]

if __name__ == "__main__":
    sys.exit(main())
