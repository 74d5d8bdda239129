#!/usr/bin/python3
"""The chaos suite: real kills, real pauses, real broker deaths, and a judge that asks neither postlane nor its logs.

    run.py [--long | --hours H] [--seed N] [--only PHASE …] [--again] [--keep DIR]

Exit codes: 0 no promise was broken; 1 one was, or the run proves nothing. See README.md beside this file.
SIGINT and SIGTERM end it with the report of what was judged so far, and 1.
"""

import argparse
import glob
import os
import random
import shutil
import signal
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "integration"))
os.environ["POSTLANE_TEST_KEEP_TOPICS"] = "1"  # the brokers go with their topics

# pylint: disable=wrong-import-position
import phases  # noqa: E402
from report import Ledger  # noqa: E402
from world import Broken, Invalid, Stuck, Violated  # noqa: E402


WORLDS_MAX = 4  # of a phase whose brokers fail it
CAMPAIGN_TURNS = 6  # of every phase; a world of its own each, so that no topic grows without bound


def options():
    parser = argparse.ArgumentParser(description="Real failures against postlane; the checker judges.")
    parser.add_argument("--long", action="store_true",
                        help=f"the campaign: {CAMPAIGN_TURNS} turns of larger phases, hundreds of kills per point")
    parser.add_argument("--hours", type=float, help="as --long, over and over for so long")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3), "big"))
    parser.add_argument("--only", nargs="+", choices=list(phases.PHASES), default=list(phases.PHASES))
    parser.add_argument("--again", action="store_true",
                        help="a phase that did not come back in time or proves nothing begins once more")
    parser.add_argument("--keep", help="a folder for everything that was written; else removed after a good run")
    return parser.parse_args()


def markers_dropped(directory):
    """Whether the brokers called a prepared transaction complete without its markers. Kafka 4.3 does when it meets a
    partition without a leader while it comes back. Either nothing behind it can be read until a person aborts it, or
    the next transaction of the producer ends it, too, as it ends itself: what was acknowledged as committed may be
    aborted. No promise holds over brokers that lose what they acknowledged: such a world says nothing of postlane."""
    for path in glob.glob(os.path.join(glob.escape(directory), "kafka", "*", "kafka.log*")):
        with open(path, encoding="utf-8", errors="replace") as log:
            if any("these partitions are likely deleted already" in line for line in log):
                return True
    return False


def excuse(error, directory, attempt, again):
    """Why the phase may begin again in another world, or None."""
    if attempt < WORLDS_MAX and isinstance(error, (Stuck, Violated)) and markers_dropped(directory):
        return "the brokers dropped the markers of a committed transaction"
    if again and attempt == 1 and isinstance(error, (Stuck, Invalid)):
        return str(error).split("\n", maxsplit=1)[0]
    return None


def run_phase(name, directory, seed, campaign, ledger, again):
    """One phase, from its brokers to the verdict."""
    started = time.monotonic()
    for attempt in range(1, WORLDS_MAX + 1):
        print(f"=== {name} (seed {seed})", flush=True)
        world = os.path.join(directory, f"world-{attempt}")
        os.makedirs(world)
        ledger.begin_world()
        try:
            phases.PHASES[name](world, seed, campaign, ledger)
            ledger.end_world()
            break
        except (Broken, Invalid, AssertionError) as error:
            why = excuse(error, world, attempt, again)
            if why is None:
                ledger.end_world()
                if isinstance(error, Invalid):
                    ledger.proves_nothing(name, str(error))
                else:
                    ledger.failed(name, str(error), getattr(error, "counts", ()))
                break
            if isinstance(error, Violated):
                ledger.excuse_violation(name, str(error))
            ledger.note(f"{name} begins again in another world: {why}")
        seed += 1
    print(f"=== {name}: {time.monotonic() - started:.0f} s", flush=True)


def turns(chosen, ledger, directory):
    """Every phase in turn until the form that was asked for is complete, or something went wrong."""
    campaign = chosen.long or chosen.hours is not None
    until = time.monotonic() + (chosen.hours or 0) * 3600
    seeds = random.Random(chosen.seed)
    for turn in range(1_000_000):
        for name in chosen.only:
            folder = os.path.join(directory, f"{turn}-{name}")
            run_phase(name, folder, seeds.randrange(1 << 30), campaign, ledger, chosen.again)
            if ledger.bad:
                return
            if not chosen.keep and not ledger.excused:
                shutil.rmtree(folder, ignore_errors=True)
            if campaign:
                print(ledger.render(), flush=True)
        if time.monotonic() > until and not (chosen.long and turn + 1 < CAMPAIGN_TURNS):
            return


def main():
    chosen = options()
    directory = chosen.keep or tempfile.mkdtemp(prefix="postlane-chaos-")
    ledger = Ledger()
    print(f"seed {chosen.seed}, everything is written below {directory}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        turns(chosen, ledger, directory)
        if chosen.long and set(chosen.only) == set(phases.PHASES) and not ledger.bad:
            ledger.check_campaign()
    except KeyboardInterrupt:
        ledger.failed("run", "interrupted")
    print(ledger.render(), flush=True)
    if not ledger.bad and not ledger.excused and not chosen.keep:
        shutil.rmtree(directory, ignore_errors=True)
    return 1 if ledger.bad else 0


if __name__ == "__main__":
    sys.exit(main())
