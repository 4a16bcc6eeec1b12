"""Partitions change hands while events come in: a worker joins, one leaves, one is killed."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from engine_driver import Engine, assert_as_folded, wait_for

from streams.contracts.topics import Name
from streams.replay.produce import Pace, Sender
from streams.replay.sources import Row, SourceEvent, open_source

pytestmark = pytest.mark.broker

RATE = 400
"""Events per second while workers come and go: little enough for a busy machine, enough that none is ever idle."""


@contextmanager
def traffic(engine: Engine) -> Iterator[None]:
    """Send the events of a shop until the block ends; not its catalogue, since outputs tell what was known of it."""
    over = threading.Event()
    shop = open_source("simulator:conversion?events=none&users=600&seed=6")

    class UntilOver:
        total_bytes = None
        bytes_read = 0

        def __iter__(self) -> Iterator[Row]:
            events = (row for row in shop if isinstance(row, SourceEvent) and row.topic == "events")
            return itertools.takewhile(lambda _: not over.is_set(), events)

    sender = Sender(engine.bootstrap, engine.kafka.topic_prefix, pace=Pace(rate=RATE))
    thread = threading.Thread(target=sender.run, args=(UntilOver(),))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    assert sender.totals.failed == 0


def test_nothing_is_lost_when_workers_join_leave_and_die_under_load(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(4)

    def assigned() -> list[int]:
        (group,) = engine.admin.describe_consumer_groups([engine.group()]).values()
        topic = engine.topic(Name.EVENTS)
        members = group.result(10).members
        return sorted(sum(place.topic == topic for place in m.assignment.topic_partitions) for m in members)

    def grown(by: int) -> Callable[[], bool]:
        before = engine.count(Name.CONVERSIONS)
        return lambda: engine.count(Name.CONVERSIONS) > before + by

    with traffic(engine), engine.running() as first:
        with engine.running() as second:
            wait_for("both have partitions", lambda: assigned() == [2, 2], 90)
            wait_for("outputs of both", grown(1000), 60)
            assert second.stop() == 0, second.text[-3000:]
        wait_for("the first has all again", lambda: assigned() == [4], 60)
        with engine.running() as third:
            wait_for("both have partitions", lambda: assigned() == [2, 2], 90)
            wait_for("outputs of both", grown(1000), 60)
            first.kill()
            wait_for("the third has all", lambda: assigned() == [4], 60)
            wait_for("outputs of the third", grown(1000), 60)
            assert third.stop() == 0, third.text[-3000:]
    engine.run()
    assert_as_folded(engine, repeats=True)
