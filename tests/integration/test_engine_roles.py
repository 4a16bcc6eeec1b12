"""Both roles under one parent: it ends when all is done, and takes its children along however it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable

import psutil
import pytest
from engine_driver import Engine, wait_for

from streams.contracts.topics import Name
from streams.replay.produce import Sender
from streams.replay.sources import open_source

pytestmark = pytest.mark.broker


def _children(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if "worker" in child.cmdline()]


def _assert_gone(children: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive


@pytest.fixture(scope="module")
def engine(new_engine: Callable[..., Engine]) -> Engine:
    engine = new_engine(2)
    source = open_source("simulator:conversion?events=2000&users=200&seed=9")
    assert Sender(engine.bootstrap, engine.kafka.topic_prefix).run(source).failed == 0
    return engine


def test_a_batch_run_of_both_roles_scores_learns_publishes_and_ends_with_0(engine: Engine) -> None:
    worker = engine.run("all")
    for role, name in (("score", Name.EVENTS), ("learn", Name.EXAMPLES)):
        committed = {partition: offset for partition, (offset, _) in engine.committed(role).items()}
        assert committed == engine.ends(name)
    assert engine.count(Name.EXAMPLES) > 500
    models = {record.key for record in engine.read(Name.SNAPSHOTS)[0]}
    assert models == {b"conversion", b"retrieval"}
    assert len(worker.said("worker stopped", role="score")) == len(worker.said("worker stopped", role="learn")) == 1
    assert list(engine.workplace.iterdir()) == [], "nothing is written but to the model store"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_ends_both_children_in_order(engine: Engine, number: int) -> None:
    worker = engine.start("all")
    try:
        wait_for("both roles run", lambda: len(worker.said("worker starts")) == 2, 90)
        children = _children(worker.process.pid)
        assert len(children) == 2
        assert worker.stop(number) == 0, worker.text[-3000:]
        _assert_gone(children)
        assert len(worker.said("worker stopped")) == 2
    finally:
        for child in psutil.Process(worker.process.pid).children() if worker.process.poll() is None else []:
            child.kill()
        worker.kill()


def test_the_death_of_one_child_ends_the_other_and_the_parent_says_so(engine: Engine) -> None:
    worker = engine.start("all")
    wait_for("both roles run", lambda: len(worker.said("worker starts")) == 2, 90)
    children = _children(worker.process.pid)
    next(child for child in children if "learn" in child.cmdline()).kill()
    assert worker.wait(60) == 3
    _assert_gone(children)
