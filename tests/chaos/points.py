"""kill -9 at named points: an instance is started with POSTLANE_CRASH_AT, and the next start arms the next point."""

import os
import shutil
import signal
import threading
import time

from world import Broken, Invalid

# Point -> how many passes before the kill: about a second of work of one of three instances.
PASSES = {"after_poll": (5, 60), "before_intent_commit": (3, 20), "after_intent_commit": (10, 120),
          "before_first_byte": (10, 120), "mid_request": (20, 400), "after_response": (10, 120),
          "result_produced": (3, 20), "committed_not_stored": (8, 40), "restore": (1, 60), "revoke": (1, 1),
          "drain": (1, 1)}
PATIENCE_S = 25


def armed(point, order, gently=False):
    low, high = PASSES[point]
    return f"{point}:{low if gently else order.randint(low, high)}"


def kills(world, ledger, points, each, together=False):
    """Every instance gets its turn, or two die independently of each other while the third stays to take over."""
    order = world.random
    members = order.sample(world.members, 2) if together else world.members
    schedule = [point for point in points for _ in range(each)]
    order.shuffle(schedule)
    share = -(-len(schedule) // len(members))
    turns = [(member, schedule[number * share:(number + 1) * share]) for number, member in enumerate(members)]
    failures = []

    def chain(member, turn):
        try:
            _chain(world, ledger, member, turn, failures)
        except (Broken, Invalid, AssertionError, OSError) as error:
            failures.append(error)

    for turn in turns if not together else []:
        chain(*turn)
        world.wait_ready()
    threads = [threading.Thread(target=chain, args=turn, daemon=True) for turn in turns if together]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    world.wait_ready()


def _chain(world, ledger, member, points, failures):
    with world.hold(member):
        if points:
            world.stop(member)
        for point in points:
            if failures:
                return  # of another chain
            incident = _kill_at(world, member, point)
            world.recover([incident])
            ledger.add([incident])


def _kill_at(world, member, point):
    """Starts the member armed and waits until the point kills it."""
    for attempt in range(3):
        if point == "restore":
            shutil.rmtree(os.path.join(world.stack.directory, f"ledger-{member.instance.name}"), ignore_errors=True)
        member.crash_at = armed(point, world.random, gently=attempt > 0)
        member.start()
        if _killed(world, member, point):
            incident = world.strike(f"kill at {point}")
            with open(member.instance.stderr_path, "rb") as log:
                log.seek(max(0, os.path.getsize(member.instance.stderr_path) - 4096))
                if f"crash point {point}".encode() not in log.read():
                    raise Broken(f"{member.instance.name} ended without passing {point}\n{member.instance.logs(20)}")
            world.reap(member)
            return incident
        world.kill(member)
    raise Invalid(f"{point} was never passed within {PATIENCE_S} s\n{member.instance.logs(20)}")


def _killed(world, member, point):
    deadline = time.monotonic() + PATIENCE_S
    signalled = False
    while time.monotonic() < deadline:
        if not member.instance.alive:
            if signalled and member.instance.process.returncode == 0:
                return False  # none of its partitions had begun to work: nothing was drained
            if member.instance.process.returncode != -signal.SIGKILL:
                raise Broken(f"{member.instance.name} ended with {member.instance.process.returncode} instead of at "
                             f"{point}\n{member.instance.logs(20)}")
            return True
        if point in ("revoke", "drain") and not signalled and member.instance.ready():
            time.sleep(world.random.uniform(0.1, 0.6))
            member.asked = True
            member.instance.signal(signal.SIGTERM)
            signalled = True
        time.sleep(0.003)
    return False
