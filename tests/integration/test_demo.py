"""`make demo` as a user runs it, smaller: a campaign, a kill -9 in the middle, and a verdict from outside evidence."""

import os
import subprocess
import sys

from harness import REPOSITORY


def test_the_demo_ends_with_every_promise_held(tmp_path):
    command = [sys.executable, os.path.join(REPOSITORY, "demo", "demo.py"), "run", "--recipients", "1500",
               "--directory", str(tmp_path / "demo")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for said in ("kill -9 of postlane", "restored its ledger", "verdict: HELD"):
        assert said in ended.stdout, ended.stdout
