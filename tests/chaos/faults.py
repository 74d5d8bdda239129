"""The faults, one function each: strike, heal, wait until every partition is back. Each returns its incidents."""

import contextlib
import os
import resource
import shutil
import signal
import struct
import subprocess
import time

from confluent_kafka import Consumer

from checker_facts import read_topic
from harness import delete_group
from world import HERE, SESSION_MS, Broken, Invalid

HOUR_NS = 3600 * 10**9


def over(world, incident):
    """The fault has healed: everything must come back by itself."""
    incident.healed(world)
    world.recover([incident])
    world.wait_ready()
    return [incident]


def pause(world, sessions):
    """SIGSTOP: the group may give its partitions away, and the zombie wakes with requests and results in its hands."""
    member = world.owner()
    with world.hold(member) as instance:
        instance.signal(signal.SIGSTOP)
        incident = world.strike(f"SIGSTOP {sessions:g} session time-outs")
        world.lasts(incident, sessions * SESSION_MS / 1000)
        instance.signal(signal.SIGCONT)
        world.recover([incident])
    world.wait_ready()
    return [incident]


def takeover(world):
    """kill -9, and the instance stays away: the others must take over."""
    member = world.owner()
    with world.hold(member):
        world.kill(member)
        incident = world.strike("kill -9 and gone")
        world.recover([incident])
    world.wait_ready()
    return [incident]


def broker_killed(world, everyone=False):
    """kill -9. Two of three brokers must carry on: the third stays dead until every partition is back."""
    nodes = world.cluster.nodes if everyone else [world.random.choice(world.cluster.nodes)]
    alone = len(nodes) == len(world.cluster.nodes)
    world.wait_in_sync()
    incident = world.strike("every broker killed" if alone else "one broker of three killed")
    for node in nodes:
        node.signal(signal.SIGKILL)
    for node in nodes:
        node.kill()
    if alone:
        time.sleep(1)
    else:
        world.recover([incident], 60)
    for node in nodes:
        node.start()
    world.cluster.wait_ready(90)
    world.recover([incident], 120)
    world.wait_ready(60)
    return [incident]


def storm(world, joins=5):
    """Members that come and go: a rebalance each, all partitions change hands."""
    incident = world.strike("rebalance storm")
    for _ in range(joins):
        ghost = Consumer({"bootstrap.servers": world.cluster.bootstrap, "group.id": "chaos", "log_level": 0,
                          "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 500,
                          "partition.assignment.strategy": "range", "enable.auto.commit": False,
                          "auto.offset.reset": "latest"})
        taken = []
        ghost.subscribe([world.stack.topics["sends"]], on_assign=lambda _, parts, taken=taken: taken.extend(parts))
        deadline = time.monotonic() + 15
        while not taken and time.monotonic() < deadline:
            ghost.poll(0.1)
        if not taken:
            raise Invalid("the ghost never became a member of the group")
        time.sleep(world.random.uniform(0.05, 0.5))
        ghost.close()
    return over(world, incident)


def cut(world):
    """Every connection to the brokers breaks, again and again."""
    incident = world.strike("TCP cut")
    before = world.proxy()["cut"]
    for _ in range(4):
        world.proxy(cut=[node.proxy_port for node in world.cluster.nodes])
        world.lasts(incident, world.random.uniform(0.3, 1))
    if world.proxy()["cut"] == before:
        raise Invalid("nothing was connected through the proxy")
    return over(world, incident)


def unreachable(world, everyone):
    """Brokers that run but cannot be reached."""
    ports = [node.proxy_port for node in world.cluster.nodes]
    chosen = ports if everyone else [world.random.choice(ports)]
    incident = world.strike("brokers unreachable" if len(chosen) == len(ports) else "one broker unreachable")
    world.proxy(refuse=chosen)
    if len(chosen) < len(ports):
        world.lasts(incident, world.random.uniform(1, 4))
    else:
        time.sleep(world.random.uniform(1, 4))
    world.proxy(refuse=[])
    return over(world, incident)


def slow(world):
    incident = world.strike("TCP slow")
    world.proxy(delay_ms=world.random.choice([20, 60, 120]))
    world.lasts(incident, 5)
    world.proxy(delay_ms=0)
    return over(world, incident)


def no_space(world):
    """Nothing can be written to files any more; the process must end with 74."""
    member = world.owner()
    with world.hold(member) as instance:
        resource.prlimit(instance.process.pid, resource.RLIMIT_FSIZE, (1, 1))
        incident = world.strike("no space")
        code = instance.wait(30)
        if code != 74:
            raise Broken(f"without space {instance.name} ended with {code} instead of 74\n{instance.logs(15)}")
        world.reap(member)
    world.recover([incident])
    world.wait_ready()
    return [incident]


def _ledger(world, instance):
    return os.path.join(world.stack.directory, f"ledger-{instance.name}")


def store_deleted(world):
    member = world.owner()
    with world.hold(member) as instance:
        world.kill(member)
        incident = world.strike("store deleted")
        shutil.rmtree(_ledger(world, instance))
    world.recover([incident])
    world.wait_ready()
    return [incident]


def store_flipped(world):
    """A few bits of every file of the local databases are turned."""
    member = world.owner()
    with world.hold(member) as instance:
        world.kill(member)
        incident = world.strike("store bit-flipped")
        flipped = 0
        for folder, _, names in os.walk(_ledger(world, instance)):
            for name in names:
                if name.startswith("MANIFEST") or name.endswith((".sst", ".log")):
                    flipped += _flip(os.path.join(folder, name), world.random)
        if not flipped:
            raise Invalid("the store has no file to damage")
    world.recover([incident])
    world.wait_ready()
    return [incident]


def _flip(path, order, bits=3):
    size = os.path.getsize(path)
    if size == 0:
        return 0
    with open(path, "r+b") as file:
        for _ in range(bits):
            place = order.randrange(size)
            file.seek(place)
            byte = file.read(1)[0]
            file.seek(place)
            file.write(bytes([byte ^ (1 << order.randrange(8))]))
    return bits


def store_older(world):
    """A copy from some seconds ago takes the place of the local databases."""
    member = world.owner()
    with world.hold(member) as instance:
        here = _ledger(world, instance)
        world.kill(member)
        shutil.copytree(here, here + ".old")
        member.start()
        member.instance.wait_ready(40)
        time.sleep(3)
        world.kill(member)
        incident = world.strike("store of some seconds ago")
        shutil.rmtree(here)
        shutil.move(here + ".old", here)
    world.recover([incident])
    world.wait_ready()
    return [incident]


def clock(world):
    """The wall clock of one instance jumps an hour ahead, then two back, then to the truth."""
    library = os.path.join(world.directory, "skewed_clock.so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, os.path.join(HERE, "skewed_clock.c"), "-ldl"],
                   check=True)
    skew = os.path.join(world.directory, "skew")

    def jump(nanoseconds):
        with open(skew, "r+b" if os.path.exists(skew) else "wb") as file:
            file.write(struct.pack("=q", nanoseconds))

    member, incidents = world.owner(), []
    jump(0)
    with world.hold(member):
        world.stop(member)
        member.environment = {"LD_PRELOAD": library, "CHAOS_SKEW_FILE": skew}
    world.wait_ready()
    for kind, to in (("clock +1 h", HOUR_NS), ("clock -1 h", -HOUR_NS)):
        incidents.append(world.strike(kind))
        jump(to)
        world.lasts(incidents[-1], 4)
        world.recover(incidents)
    with world.hold(member):  # a start with the wrong time is another matter than a jump
        world.kill(member)
        incidents.append(world.strike("start with the clock -1 h"))
        member.start()
        world.recover(incidents)
    jump(0)
    member.environment = {}
    with world.hold(member):
        world.stop(member)
    world.wait_ready()
    return incidents


def offsets_deleted(world):
    """The group and its offsets are deleted while nobody is a member."""
    with contextlib.ExitStack() as held:
        for member in world.members:
            held.enter_context(world.hold(member))
            world.kill(member)
        incident = world.strike("group offsets deleted")
        try:
            delete_group(",".join(f"127.0.0.1:{node.port}" for node in world.cluster.nodes), "chaos")
        except AssertionError as error:
            raise Invalid(str(error)) from None
    world.recover([incident])
    world.wait_ready()
    return [incident]


def input_again(world, records=2000):
    """What was produced already is produced once more: each record a duplicate, none sent again."""
    incident = world.strike("input produced again")
    for number, record in enumerate(read_topic(world.cluster.bootstrap, world.stack.topics["sends"],
                                               "read_uncommitted")):
        if number % 5 == 0 and len(world.inject) < records:
            world.inject.append((record.key, record.value, record.partition))
    incident.healed(world)
    world.recover([incident])
    return [incident]


def two_groups(world):
    """Another group on the same ledger: they must fence each other."""
    green = world.add_instance(f"green{world.random.randrange(1 << 20)}",
                               kafka={"group_id": "chaos.green", "group_instance_id": None})
    incident = world.strike("two groups on one ledger")
    green.start(ready=False)
    world.lasts(incident, 8)
    green.kill9()
    incident.healed(world)
    world.recover([incident], 120)
    world.wait_ready(60)
    return [incident]
