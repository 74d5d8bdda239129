"""The phases of a run: which faults strike which world, and how often."""

import time

import faults
import points
import restore as restoring
from world import Broken, Stuck, World


def _warm(world):
    world.load_on()
    time.sleep(3)


def _do(ledger, fault, *arguments, times=1, **named):
    for _ in range(times):
        ledger.add(fault(*arguments, **named))


def kills(directory, seed, long, ledger):
    """One broker; every crash point. In the campaign two instances at a time die independently of each other."""
    with World(directory, 1, seed) as world:
        _warm(world)
        points.kills(world, ledger, list(points.PASSES), 50 if long else 3, together=long)
        world.settle(300 if long else 120)
        ledger.judge("kills", world, min_executed=1000)


def machines(directory, seed, long, ledger):
    """One broker; pauses, takeovers, lost and damaged stores, a full disk, clocks, input again, two groups."""
    with World(directory, 1, seed) as world:
        _warm(world)
        for sessions, times in ((0.5, 3), (1.5, 7), (3, 7)):
            _do(ledger, faults.pause, world, sessions, times=times if long else 1)
        for fault in (faults.takeover, faults.store_deleted, faults.store_flipped, faults.store_older,
                      faults.no_space, faults.storm, faults.input_again, faults.offsets_deleted, faults.two_groups,
                      faults.clock):
            _do(ledger, fault, world, times=2 if long else 1)
        world.settle()
        ledger.judge("machines", world, min_executed=1000)


def broker(directory, seed, long, ledger):
    """One broker that dies; connections that break, hang and crawl."""
    with World(directory, 1, seed) as world:
        _warm(world)
        for _ in range(6 if long else 1):
            _do(ledger, faults.broker_killed, world)
            _do(ledger, faults.cut, world)
            _do(ledger, faults.slow, world)
            _do(ledger, faults.unreachable, world, everyone=True)
        world.settle(180)
        ledger.judge("broker", world, min_executed=1000)


def brokers(directory, seed, long, ledger):
    """Three brokers, every topic on all of them, two must have a record: one dies, all die, one is cut off."""
    with World(directory, 3, seed, rate=200) as world:
        _warm(world)
        for _ in range(3 if long else 1):
            _do(ledger, faults.broker_killed, world, times=3)
            _do(ledger, faults.broker_killed, world, everyone=True)
            _do(ledger, faults.unreachable, world, everyone=False)
            _do(ledger, faults.cut, world)
            _do(ledger, faults.pause, world, 1.5)
        points.kills(world, ledger, ["before_intent_commit", "committed_not_stored", "mid_request", "result_produced"],
                     3 if long else 1)
        world.settle(180)
        ledger.judge("brokers", world, min_executed=1000)


def rolling(directory, seed, long, ledger):
    """SIGTERM and start, one instance after the other, under load: nothing lost, doubled or in doubt, and no partition
    waits longer than the restart takes."""
    rounds, longest, shortest_spare = (4 if long else 2), 0.0, 1e9
    with World(directory, 1, seed, esp_faults={"latency_ms": 20, "latency_jitter_ms": 40}) as world:
        _warm(world)
        for _ in range(rounds):
            for member in world.members:
                with world.hold(member):
                    world.follower.reset_waits()
                    time.sleep(2)
                    usual = max(world.follower.longest_wait)  # between two outcomes while nothing happens
                    world.follower.reset_waits()
                    started = time.monotonic()
                    incident = world.strike("rolling restart")
                    code = world.stop(member)
                    if code != 0:
                        raise Broken(f"{member.instance.name} ended with {code} upon SIGTERM\n"
                                     f"{member.instance.logs(15)}")
                    member.start()
                    world.wait_ready()
                    took = time.monotonic() - started
                    world.recover([incident])
                    waited = max(world.follower.longest_wait) - usual
                ledger.add([incident])
                longest, shortest_spare = max(longest, waited), min(shortest_spare, took - waited)
        world.settle()
        report = ledger.judge("rolling", world, min_executed=500)
        if report.outcome_count("ambiguous"):
            raise Broken(f"{report.outcome_count('ambiguous')} messages are in doubt after graceful restarts")
        if shortest_spare < 0:
            raise Stuck(f"a partition waited {-shortest_spare:.2f} s longer than the restart took")
        ledger.note(f"rolling restart: {3 * rounds} restarts, nothing in doubt, a partition waited at most "
                    f"{longest:.2f} s longer than its outcomes usually come apart")


def restore(directory, _seed, long, ledger):
    """A ledger of some size into an empty store; a kill -9 with the store as it was."""
    wanted = 200_000
    rate = restoring.measure(directory, 2_000_000 if long else 600_000, ledger)
    ledger.note(f"restore: best of three {rate:,.0f} entries a second, wanted {wanted:,}")


PHASES = {phase.__name__: phase for phase in (kills, machines, broker, brokers, rolling, restore)}
