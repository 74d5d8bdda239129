"""One Kafka node for the session; one Stack per scenario."""

import itertools
import os

import pytest

from harness import BINARY, Stack
from kafka_node import Cluster

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """The running node. POSTLANE_TEST_BOOTSTRAP names one that runs already."""
    bootstrap = os.environ.get("POSTLANE_TEST_BOOTSTRAP")
    if bootstrap:
        yield bootstrap
        return
    cluster = Cluster(str(tmp_path_factory.mktemp("kafka")))
    try:
        yield cluster.start().bootstrap
    finally:
        cluster.stop()


@pytest.fixture
def make_stack(kafka, tmp_path, request):
    """Makes Stacks that end with the test; prints their logs if it failed."""
    assert os.path.exists(BINARY), f"{BINARY} is missing: build it first (make build)"
    stacks = []

    def make(**arguments):
        prefix = f"t{os.getpid()}-{next(_numbers)}"
        directory = tmp_path / f"stack-{len(stacks)}"
        directory.mkdir()
        stacks.append(Stack(kafka, directory, prefix, **arguments))
        return stacks[-1]

    yield make
    for stack in stacks:
        stack.close()
    if getattr(request.node, "failed", False):
        for stack in stacks:
            print(f"\nfolder: {stack.directory}\n{stack.logs()}")


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call" and outcome.get_result().failed:
        item.failed = True
