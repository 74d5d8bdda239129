#!/usr/bin/python3
"""Checks the protocol's model with SPIN: exhaustively, then without each of its mechanisms in turn.

    run.py                     everything: every configuration holds, every mutant fails; exit 1 otherwise
    run.py --faults 4          the configurations with that many faults in one run, instead of what the table says
    run.py --mutant NAME       one mutant, and the shortest counterexample it has
    run.py --list              the names

Needs spin and gcc. README.md tells what the model says and how to read a counterexample.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

MODEL = pathlib.Path(__file__).resolve().parent / "protocol.pml"
MEMORY_MIB = 3000
PROMISES = {1: "G1", 2: "G2", 3: "G3", 4: "G4", 5: "bounded doubt"}
KEYED, UNKEYED = ("KEYED",), ()


@dataclasses.dataclass(frozen=True)
class Configuration:
    name: str
    flags: tuple
    faults: int
    witnesses: frozenset = frozenset()  # places that must be reached, see REACHED in the model
    faults_of_cycles: int = 2


CONFIGURATIONS = (
    Configuration("keyed ESP", KEYED, 3, frozenset({1, 2, 5, 6, 7, 8, 9, 10})),
    Configuration("unkeyed ESP", UNKEYED, 4, frozenset({1, 2, 3, 5, 6, 7, 8, 9, 10})),
    Configuration("unkeyed ESP, halt", ("HALT",), 4, frozenset({1, 2, 4, 5, 6, 7, 8, 9, 10})),
    Configuration("two recipients, one slot", ("KEYED", "LANES"), 2, faults_of_cycles=1),
)


@dataclasses.dataclass(frozen=True)
class Mutant:
    name: str
    promise: int  # that it breaks, with the others switched off
    removed: str
    flags: tuple = KEYED
    faults: int = 2


MUTANTS = (
    Mutant("RESTORE_FIRST", 3, "restores before it fences"),
    Mutant("NO_DEADLINE", 3, "the last check ignores the deadline", UNKEYED),
    Mutant("NO_DEADLINE", 1, "the last check ignores the deadline"),
    Mutant("NO_WAIT", 1, "a new owner does not wait before it decides a doubt"),
    Mutant("NO_WAIT", 3, "a new owner does not wait before it decides a doubt", UNKEYED),
    Mutant("NO_EPOCH", 2, "the last check ignores the epoch"),
    Mutant("NO_RECHECK", 2, "the last check ignores suppressions since the decision"),
    Mutant("KEEP_PROOF", 2, "a freshness proof survives a restart of the partition"),
    Mutant("ACCEPT_UNPROVEN", 2, "an input is decided before the view is fresh as of its arrival"),
    Mutant("NO_CREDIT", 5, "intents are committed beyond the dispatch slots", ("KEYED", "LANES")),
    Mutant("STORE_FIRST", 4, "the store is applied before the commit"),
    Mutant("STORE_FIRST", 3, "the store is applied before the commit", UNKEYED),
    Mutant("REUSE_PRODUCER", 4, "the producer is used on after an unknown commit"),
    Mutant("REUSE_PRODUCER", 3, "the producer is used on after an unknown commit", UNKEYED),
    Mutant("REGISTRY_FORGETS", 1, "own attempts on the wire are taken for withdrawn"),
    Mutant("REGISTRY_FORGETS", 3, "own attempts on the wire are taken for withdrawn", UNKEYED),
    Mutant("SEND_BEFORE_COMMIT", 3, "a request leaves before its intent is committed", UNKEYED),
    Mutant("UNKEYED_RESEND", 3, "a doubt at an unkeyed ESP is sent again", UNKEYED),
    Mutant("NEW_KEY", 3, "a replay has another key"),
    Mutant("NO_TURN", 1, "a step does not wait for the one before", UNKEYED),
)


class Trouble(Exception):
    """Neither verified nor refuted: the tools failed, or the search was cut short."""


@dataclasses.dataclass
class Search:
    states: int
    errors: int
    output: str
    seconds: float


def build(folder, flags, *defines, optimise=False):
    """Flags are the model's, defines the verifier's. A short search takes less time than optimising it."""
    folder.mkdir()
    spin = ["spin", *(f"-D{flag}" for flag in flags), "-a", str(MODEL)]
    generated = subprocess.run(spin, cwd=folder, capture_output=True, text=True)
    if generated.returncode != 0 or "Error" in generated.stdout:
        raise Trouble(f"spin: {generated.stdout}{generated.stderr}")
    gcc = ["gcc", "-O2" if optimise else "-O0", "-w", "-DCOLLAPSE", "-DNOFAIR", "-DVECTORSZ=512",
           f"-DMEMLIM={MEMORY_MIB}",
           *(f"-D{define}" for define in defines), "-o", "pan", "pan.c"]
    compiled = subprocess.run(gcc, cwd=folder, capture_output=True, text=True)
    if compiled.returncode != 0:
        raise Trouble(f"gcc: {compiled.stderr}")


def search(folder, *options):
    """Runs the verifier to its end. -E: the processes of the model do not end, and need not."""
    begun = time.monotonic()
    output = subprocess.run(["./pan", "-E", "-m100000", "-w20", *options], cwd=folder, capture_output=True,
                            text=True).stdout
    states = re.search(r"(\d+) states, stored", output)
    errors = re.search(r"errors: (\d+)", output)
    if not states or not errors or "max search depth too small" in output or "out of memory" in output \
            or "memory limit" in output:
        raise Trouble(f"the search did not end: {output}")
    return Search(int(states[1]), int(errors[1]), output, time.monotonic() - begun)


def verify(folder, configuration, faults):
    build(folder, (*configuration.flags, f"FAULTS={faults}"), "SAFETY", optimise=True)
    found = search(folder)
    if found.errors:
        raise Trouble("a promise does not hold:\n" + trail(folder, configuration.flags, faults))
    return found


def verify_no_cycles(folder, configuration, faults):
    """Without a cycle, every run ends, and the end is where the outcomes are counted."""
    build(folder, (*configuration.flags, f"FAULTS={faults}"), "NP", optimise=True)
    found = search(folder, "-l")
    if found.errors:
        raise Trouble("a run may go on for ever:\n" + trail(folder, configuration.flags, faults))
    return found


def verify_witnesses(folder, configuration):
    build(folder, (*configuration.flags, "FAULTS=1", "WITNESSES"), "SAFETY")
    found = search(folder, "-c0")
    reached = {int(number) for number in re.findall(r"witness\*(\d+)", found.output)}
    missing = configuration.witnesses - reached
    if missing:
        raise Trouble(f"the model never comes to the places REACHED({sorted(missing)})")
    return found


def refute(folder, mutant):
    """Breadth first, so that the counterexample is a shortest one."""
    flags = (*mutant.flags, f"FAULTS={mutant.faults}", f"M_{mutant.name}", f"ONLY={mutant.promise}", "BREADTH_FIRST")
    build(folder, flags, "SAFETY", "BFS")
    found = search(folder)
    return found, (trail(folder, flags) if found.errors else "")


def trail(folder, flags, faults=None):
    extra = [] if faults is None else [f"-DFAULTS={faults}"]
    told = subprocess.run(["spin", *(f"-D{flag}" for flag in flags), *extra, "-t", "-k",
                           str(folder / "protocol.pml.trail"), "-B", "-T", str(MODEL)], cwd=folder,
                          capture_output=True, text=True).stdout
    lines = (re.sub(r"^spin: text of failed assertion", "violated", line.strip()) for line in told.splitlines())
    return "\n".join("    " + line for line in lines if line and not line.startswith(("spin:", "Never", "#", "<<<")))


def check_all(scratch, faults):
    failed = []
    width = max(len(configuration.name) for configuration in CONFIGURATIONS)

    def report(name, what, run):
        try:
            found = run()
            print(f"{name:{width}}  {what:38}  {found.states:>9} states  {found.seconds:5.1f} s", flush=True)
        except Trouble as trouble:
            failed.append(f"{name}: {what}")
            print(f"{name:{width}}  {what:38}  FAILED: {trouble}", flush=True)

    for number, one in enumerate(CONFIGURATIONS):
        allowed = one.faults if faults is None else faults
        report(one.name, f"all promises, faults: {allowed}", lambda: verify(scratch / f"c{number}", one, allowed))
        report(one.name, f"every run ends, faults: {one.faults_of_cycles}",
               lambda: verify_no_cycles(scratch / f"n{number}", one, one.faults_of_cycles))
        if one.witnesses:
            report(one.name, f"{len(one.witnesses)} places reached, faults: 1",
                   lambda: verify_witnesses(scratch / f"w{number}", one))

    print("\nWithout one mechanism each, a promise must break:")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [(mutant, pool.submit(refute, scratch / f"m{number}", mutant)) for number, mutant in enumerate(MUTANTS)]
        for mutant, run in runs:
            line = f"{mutant.name:18}  {PROMISES[mutant.promise]:13}  {mutant.removed:64}"
            try:
                found, _ = run.result()
                verdict = f"counterexample after {found.states:>7} states" if found.errors else "NOT CAUGHT"
            except Trouble as trouble:
                found, verdict = None, f"FAILED: {trouble}"
            if not found or not found.errors:
                failed.append(f"mutant {mutant.name}")
            print(f"{line}  {verdict}", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description="Checks the protocol's model with SPIN.")
    parser.add_argument("--faults", type=int, metavar="N", help="faults in one run of a configuration")
    parser.add_argument("--mutant", metavar="NAME", help="show the counterexamples of one mutant")
    parser.add_argument("--list", action="store_true", help="list the mutants")
    arguments = parser.parse_args()
    if arguments.list:
        for mutant in MUTANTS:
            print(f"{mutant.name:18}  {PROMISES[mutant.promise]:13}  {mutant.removed}")
        return 0
    for tool in ("spin", "gcc"):
        if not shutil.which(tool):
            print(f"{tool} is missing: install the packages named in packages.txt (make install)", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory(prefix="postlane-model-") as scratch:
        scratch = pathlib.Path(scratch)
        if arguments.mutant:
            chosen = [mutant for mutant in MUTANTS if mutant.name == arguments.mutant]
            if not chosen:
                print(f"no mutant is named {arguments.mutant}; --list names them", file=sys.stderr)
                return 1
            for number, mutant in enumerate(chosen):
                found, told = refute(scratch / str(number), mutant)
                print(f"{mutant.removed} -> {PROMISES[mutant.promise]}:\n{told or '    no counterexample'}")
            return 0
        failed = check_all(scratch, arguments.faults)
    if failed:
        print("FAILED: " + "; ".join(failed))
        return 1
    print(f"Every configuration holds in every state; each of {len({mutant.name for mutant in MUTANTS})} mutants "
          "breaks its promises.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
