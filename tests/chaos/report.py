"""What a run of the chaos suite did and found, added up over its phases."""

import collections
import re

from checker import render
from points import PASSES
from world import Violated


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Ledger:
    """Faults fired, sends, violations, the ambiguous rate and recovery times."""

    def __init__(self):
        self.incidents = collections.defaultdict(list)
        self._of_this_world = []  # they count once it is judged
        self.excused = []  # phases with a violation, in worlds whose brokers had lost what they acknowledged
        self.ends, self.ambiguous, self.violations = collections.Counter(), collections.Counter(), collections.Counter()
        self.inputs = self.executed = self.decided = 0
        self.problems, self.notes = [], []

    @property
    def bad(self):
        return bool(self.problems)

    def failed(self, phase, why, counts=()):
        self.violations.update(counts)
        self.problems.append(f"{phase}: FAILED: {why}")
        print(self.problems[-1], flush=True)

    def proves_nothing(self, phase, why):
        self.problems.append(f"{phase}: PROVES NOTHING: {why}")
        print(self.problems[-1], flush=True)

    def begin_world(self):
        """What became of the world before says nothing, unless end_world() was called."""
        self._of_this_world = []

    def end_world(self):
        for incident in self._of_this_world:
            self.incidents[incident.kind].append(incident)
        self._of_this_world = []

    def excuse_violation(self, phase, verdict):
        """Not counted as one, but nobody should have to believe that: the text is printed and its folder kept."""
        self.excused.append(phase)
        print(f"{phase}: a violation, excused because of the brokers:\n{verdict}", flush=True)

    def note(self, text):
        self.notes.append(text)
        print(f"    {text}", flush=True)

    def add(self, incidents):
        """Incidents that are over. One at which nothing was at stake, or during which nothing went on, is no test."""
        for incident in incidents:
            self._of_this_world.append(incident)
            print(f"    {incident.kind}: {incident.pending} pending, back after {incident.recovered_s:.2f} s, "
                  f"{incident.progress} ended meanwhile", flush=True)
            if incident.pending <= 0:
                self.proves_nothing(incident.kind, "no work remained when it struck")
            if incident.progress <= 0 or incident.while_it_lasted == 0:
                self.proves_nothing(incident.kind, "no progress was made")

    def check_campaign(self):
        """What the campaign owes: a smaller one must not pass for it."""
        fired = collections.Counter()
        for kind, incidents in self.incidents.items():
            group = kind if kind.startswith("kill at ") else "broker kills" if kind.endswith("killed") else \
                "zombies" if kind.startswith("SIGSTOP") and not kind.startswith("SIGSTOP 0.5") else None
            fired[group] += len(incidents)
        owed = {**{f"kill at {name}": 300 for name in PASSES}, "zombies": 100, "broker kills": 100}
        for what, least in owed.items():
            if fired[what] < least:
                self.proves_nothing("campaign", f"{fired[what]} of {least} {what}")
        if self.inputs < 1_000_000:
            self.proves_nothing("campaign", f"{self.inputs} of 1,000,000 sends")

    def judge(self, phase, world, min_executed, **policy):
        """The verdict over everything that this world's topics and ESP have seen."""
        report = world.stack.report(min_executed=min_executed, acks_complete=True, **policy)
        if report.verdict == "VIOLATED":
            raise Violated(render(report), report.counts)
        self.inputs += report.figures["inputs"]
        self.executed += report.figures["executed"]
        self.decided += sum(report.outcome_count(word) for word in ("sent", "failed", "ambiguous"))
        self.ends.update(world.ends)
        for kind, outcome, reason, count in report.outcomes:
            if kind == "outcome" and outcome == "ambiguous":
                self.ambiguous[reason] += count
        if report.verdict != "HELD":
            self.proves_nothing(phase, "; ".join(report.invalid))
        else:
            margin = report.figures.get("largest_suppression_margin_ms")
            print(f"    judged: {report.figures['inputs']} inputs, {report.figures['executed']} executed, "
                  f"{report.figures['ambiguous']} ambiguous, largest suppression margin {margin} ms", flush=True)
        return report

    def render(self):
        every = [i.recovered_s for incidents in self.incidents.values() for i in incidents]
        lines = ["", f"{'fault':34} {'fired':>6} {'back p50':>9} {'back p99':>9} {'longest':>9}"]
        for kind in sorted(self.incidents):
            times = [incident.recovered_s for incident in self.incidents[kind]]
            lines.append(f"{kind:34} {len(times):6} {percentile(times, .5):7.2f} s {percentile(times, .99):7.2f} s "
                         f"{max(times):7.2f} s")
        lines.append(f"{'all':34} {len(every):6} {percentile(every, .5):7.2f} s {percentile(every, .99):7.2f} s")
        lines += ["", f"sends        {self.inputs} inputs, {self.executed} executed by the ESP"]
        rate = sum(self.ambiguous.values()) / self.decided if self.decided else 0
        why = ", ".join(f"{reason} {count}" for reason, count in self.ambiguous.most_common())
        lines.append(f"ambiguous    {sum(self.ambiguous.values())} ({rate:.4%}){': ' if why else ''}{why}")
        lines.append("ends         " + ", ".join(f"{how} {count}" for how, count in self.ends.most_common()))
        lines.append(f"violations   {sum(self.violations.values())}")
        if self.excused:
            lines.append(f"excused      {len(self.excused)} worlds whose brokers lost what they had acknowledged: "
                         f"{', '.join(self.excused)}; their folders are kept")
        lines += [f"             {note}" for note in self.notes]
        lines += [re.sub(r"\n", "\n    ", problem) for problem in self.problems]
        lines.append("verdict      " + ("BAD" if self.bad else "every promise held"))
        return "\n".join(lines)
