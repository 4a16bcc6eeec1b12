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
RESTARTS = 6


@pytest.fixture(scope="module")
def loaded(new_engine: Callable[..., Engine]) -> Engine:
    """A log of a shop with repeats, latecomers, crawlers and malformed records."""
    engine = new_engine()
    source = open_source(f"simulator:dirty?events={EVENTS}&users=400&seed=5")
    assert Sender(engine.bootstrap, engine.kafka.topic_prefix).run(source).failed == 0
    return engine


@pytest.mark.slow
def test_restarts_with_a_backlog_lose_nothing_and_repeat_nothing(loaded: Engine) -> None:
    """Stock Faust loses events here: it resumes partitions before it seeks them (see engine/recovery.py)."""
    log_ends = loaded.ends(Name.EVENTS)
    stopped_within_the_log = 0
    for restart in range(RESTARTS):
        before = loaded.count(Name.CONVERSIONS)
        with loaded.running(engine__batch_max_records=100) as worker:
            wait_for(
                f"output after restart {restart}",
                lambda before=before: loaded.count(Name.CONVERSIONS) > before + 500,
                60,
                0.02,
            )
            assert worker.metric("clickwake_events_replayed_total") == 0
            number = signal.SIGINT if restart % 2 else signal.SIGTERM
            assert worker.stop(number) == 0, worker.text[-3000:]
        ledgers, committed = loaded.ledgers(), loaded.committed()
        assert {p: ledger.applied + 1 for p, ledger in ledgers.items()} == {p: at for p, (at, _) in committed.items()}
        stopped_within_the_log += {p: at for p, (at, _) in committed.items()} != log_ends
    assert stopped_within_the_log == RESTARTS, "it was done too early to prove anything"
    worker = loaded.run()
    assert_as_folded(loaded)
    ledgers_at_last = loaded.ledgers().values()
    assert sum(ledger.rejected for ledger in ledgers_at_last) > 0
    assert sum(ledger.duplicates for ledger in ledgers_at_last) > 0


def test_a_stopped_worker_has_left_the_group_so_the_next_starts_at_once(loaded: Engine) -> None:
    (group,) = loaded.admin.describe_consumer_groups([loaded.group()]).values()
    assert group.result(10).members == []
