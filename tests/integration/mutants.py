#!/usr/bin/python3
"""Takes one mechanism at a time out of the program and requires that its black-box test fails.

    mutants.py [-k NAME]... [--list]

The tree is copied to build/mutants/tree and built there; the table is in mutants_table.py. First the named tests must
pass on the unchanged program. Exit status: 0 if every mutant is caught, 1 if one survives, 2 if the run proves nothing.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree

from kafka_node import REPOSITORY, Cluster
from mutants_table import MUTANTS

HOME = os.path.join(REPOSITORY, "build", "mutants")
TREE = os.path.join(HOME, "tree")
BUILD_SECONDS, TEST_SECONDS = 1800, 420


class Broken(Exception):
    """The run proves nothing."""


def copy_tree():
    """Files whose bytes have not changed keep their times, so that only what changed is built."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        source, target = os.path.join(REPOSITORY, name), os.path.join(TREE, name)
        with open(source, "rb") as file:
            content = file.read()
        if os.path.exists(target):
            with open(target, "rb") as file:
                if file.read() == content:
                    continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


def build(what):
    env = {**os.environ, "CCACHE_BASEDIR": TREE, "CCACHE_NOHASHDIR": "1"}
    commands = [["cmake", "--build", "build", "--target", "postlane"]]
    if not os.path.exists(os.path.join(TREE, "build", "build.ninja")):
        commands.insert(0, ["cmake", "--preset", "release"])
    for command in commands:
        done = subprocess.run(command, cwd=TREE, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=BUILD_SECONDS, check=False)
        if done.returncode != 0:
            raise Broken(f"{what} does not build:\n{done.stdout[-4000:]}")


def read(path):
    with open(path, encoding="utf-8") as text:
        return text.read()


def write(path, content):
    with open(path, "w", encoding="utf-8") as text:
        text.write(content)


def spoiled(mutant):
    """{path: (before, after)}"""
    files = {}
    for edit in mutant.edits:
        path = os.path.join(TREE, edit.file)
        before, now = files.get(path) or (read(path),) * 2
        count = now.count(edit.old)
        if count != 1:
            raise Broken(f"{mutant.name}: this stands {count} times, not once, in {edit.file}:\n{edit.old}")
        files[path] = (before, now.replace(edit.old, edit.new))
    return files


def run_tests(expression, bootstrap, name):
    """-> (names of the tests that passed, names of those that failed by an assertion)"""
    report, log = (os.path.join(HOME, f"{name}.{kind}") for kind in ("xml", "log"))
    if os.path.exists(report):
        os.remove(report)
    env = {**os.environ, "POSTLANE_BINARY": os.path.join(TREE, "build", "postlane"),
           "POSTLANE_TEST_BOOTSTRAP": bootstrap}
    with open(log, "w", encoding="utf-8") as out:
        tests = subprocess.Popen([os.path.join(REPOSITORY, "tests", "integration", "run.sh"), "-k", expression,
                                  f"--junitxml={report}"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
        try:
            tests.wait(TEST_SECONDS)
        except subprocess.TimeoutExpired:
            tests.send_signal(signal.SIGINT)  # pytest ends what its fixtures started
            try:
                tests.wait(60)
            except subprocess.TimeoutExpired:
                tests.kill()
                tests.wait()
            raise Broken(f"{name}: the tests took longer than {TEST_SECONDS} s, see {log}") from None
    if not os.path.exists(report):
        raise Broken(f"{name}: no test was run, see {log}")
    passed, failed = [], []
    for case in xml.etree.ElementTree.parse(report).iter("testcase"):
        if case.find("error") is not None or case.find("skipped") is not None:
            raise Broken(f"{name}: {case.get('name')} could not be run, see {log}")
        (passed if case.find("failure") is None else failed).append(case.get("name"))
    if not passed and not failed:
        raise Broken(f"{name}: `-k {expression}` names no test")
    return passed, failed


def try_mutant(mutant, bootstrap):
    files = spoiled(mutant)
    try:
        for path, (_, after) in files.items():
            write(path, after)
        build(mutant.name)
        return run_tests(mutant.test, bootstrap, mutant.name)[1]
    finally:
        for path, (before, _) in files.items():
            write(path, before)


def run(chosen, bootstrap):
    started = time.monotonic()
    build("the unchanged program")
    failed = []
    for expression in sorted({mutant.test for mutant in chosen}):  # apart: the bound in time is that of one
        failed += run_tests(expression, bootstrap, "unchanged")[1]
    if failed:
        raise Broken(f"already without a mutant these fail: {', '.join(failed)}; see {HOME}")
    print(f"unchanged: every named test passes, {time.monotonic() - started:.0f} s", flush=True)
    rows = []
    for number, mutant in enumerate(chosen, 1):
        started = time.monotonic()
        try:
            failed = try_mutant(mutant, bootstrap)
            verdict = "caught" if failed else "SURVIVED"
        except Broken as error:
            print(error, flush=True)
            verdict, failed = "BROKEN", []
        rows.append((mutant, verdict, failed))
        print(f"{number} of {len(chosen)} {mutant.name}: {verdict}, {time.monotonic() - started:.0f} s", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-k", "--only", action="append", metavar="NAME", help="this mutant; may be given repeatedly")
    parser.add_argument("--list", action="store_true", help="print the table and end")
    options = parser.parse_args()
    unknown = set(options.only or ()) - {mutant.name for mutant in MUTANTS}
    if unknown:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}; --list names them")
    chosen = [mutant for mutant in MUTANTS if not options.only or mutant.name in options.only]
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name:24} {mutant.taken_out}: {mutant.test}")
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background jobs ignore the first, and so would pytest
        signal.signal(number, signal.default_int_handler)
    os.makedirs(TREE, exist_ok=True)
    cluster = Cluster(os.path.join(HOME, "kafka"))
    try:
        copy_tree()
        rows = run(chosen, cluster.start().bootstrap)
    except (Broken, subprocess.TimeoutExpired) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        cluster.stop()
    print(f"\n{'mutant':24} {'verdict':9} tests")
    for mutant, verdict, failed in rows:
        print(f"{mutant.name:24} {verdict:9} {', '.join(failed) or mutant.test}")
    verdicts = {verdict for _, verdict, _ in rows}
    return 1 if "SURVIVED" in verdicts else 2 if "BROKEN" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main())
