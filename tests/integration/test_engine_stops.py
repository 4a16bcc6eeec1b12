"""Orderly stops: SIGTERM under load, restart after restart, with a backlog that outlives each of them."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from engine_driver import Engine, assert_as_folded, wait_for

from streams.contracts.topics import Name
from streams.replay.produce import Sender
from streams.replay.sources import open_source

pytestmark = pytest.mark.broker

EVENTS = 20_000


@pytest.mark.parametrize("restarts", [2, pytest.param(7, marks=pytest.mark.slow)])
def test_restarts_with_a_backlog_lose_nothing_and_repeat_nothing(
    new_engine: Callable[..., Engine], restarts: int
) -> None:
    """Stock Faust loses events here: it resumes partitions before it seeks them (see engine/recovery.py)."""
    engine = new_engine()
    # With repeats, latecomers, crawlers and malformed records.
    source = open_source(f"simulator:dirty?events={EVENTS}&users=400&seed=5")
    assert Sender(engine.bootstrap, engine.kafka.topic_prefix).run(source).failed == 0
    log_ends = engine.ends(Name.EVENTS)
    for restart in range(restarts):
        enough = engine.count(Name.CONVERSIONS) + 500
        with engine.running(engine__batch_max_records=100) as worker:
            wait_for("output", lambda enough=enough: engine.count(Name.CONVERSIONS) > enough, 60, 0.02)
            assert worker.metric("clickwake_events_replayed_total") == 0
            assert worker.stop(signal.SIGINT if restart % 2 else signal.SIGTERM) == 0, worker.text[-3000:]
        committed = {partition: offset for partition, (offset, _) in engine.committed().items()}
        assert committed == {partition: ledger.applied + 1 for partition, ledger in engine.ledgers().items()}
        assert committed != log_ends, "it was stopped too late to prove anything"
        (group,) = engine.admin.describe_consumer_groups([engine.group()]).values()
        assert group.result(10).members == [], "it left the group, so that the next one starts at once"
    engine.run()
    assert_as_folded(engine)
    ledgers = engine.ledgers().values()
    assert sum(ledger.rejected for ledger in ledgers) > 0
    assert sum(ledger.duplicates for ledger in ledgers) > 0
