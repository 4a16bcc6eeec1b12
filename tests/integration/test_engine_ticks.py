"""An idle partition's time runs on through tick records, so that labels become known without further events."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from engine_driver import Engine, Worker, assert_as_folded, event, wait_for

from streams.contracts.topics import Name
from streams.labels.touches import HORIZON_MS
from streams.ops.clock import SystemClock

pytestmark = pytest.mark.broker


def _outcomes(engine: Engine) -> list[dict[str, object]]:
    records = [json.loads(r.value or b"") for part in engine.read(Name.EXAMPLES).values() for r in part]
    return [record for record in records if record["kind"] == "outcome"]


def _wait_ticks(engine: Engine, partition: int, more_than: int) -> None:
    wait_for(f"more than {more_than} records", lambda: engine.ends(Name.EVENTS)[partition] > more_than, 60)


def _settled(engine: Engine) -> None:
    """Stop of the worker may leave a tick unread: read the rest without writing new ones."""
    engine.run()
    assert_as_folded(engine)


@pytest.fixture(scope="module")
def ticked(new_engine: Callable[..., Engine]) -> tuple[Engine, Worker]:
    """Two touches that are due in a few seconds, one bought; then nothing but time, over two runs of a worker."""
    engine = new_engine(2)
    now_ms = SystemClock().now_ms()
    touched_ms = now_ms - HORIZON_MS + 20_000
    engine.send(
        [
            event("view", 1, "u", touched_ms, item_id="bought")._replace(partition=0),
            event("view", 2, "u", touched_ms + 1, item_id="left")._replace(partition=0),
            event("purchase", 3, "u", touched_ms + 500, item_id="bought")._replace(partition=0),
            event("page_view", 4, "u", now_ms, page="/")._replace(partition=0),
        ]
    )
    with engine.running(engine__tick_idle_s=1) as first:
        _wait_ticks(engine, 0, 4)
        assert first.stop() == 0
    ticks = engine.ends(Name.EVENTS)[0]
    with engine.running(engine__tick_idle_s=1) as second:
        _wait_ticks(engine, 0, ticks)  # no event has come since it started
        wait_for("the labels", lambda: len(_outcomes(engine)) == 2, 60)
        assert second.stop() == 0
    _settled(engine)
    return engine, second


def test_touches_mature_at_their_time_without_any_further_event(ticked: tuple[Engine, Worker]) -> None:
    outcomes = _outcomes(ticked[0])
    assert [(outcome["item_id"], outcome["label"]) for outcome in outcomes] == [("bought", 1), ("left", 0)]
    for outcome in outcomes:
        assert isinstance(outcome["ts_ms"], int)
        assert isinstance(outcome["touched_ms"], int)
        assert outcome["ts_ms"] >= outcome["touched_ms"] + HORIZON_MS


def test_ticks_are_records_of_the_log_counted_and_never_of_the_future(ticked: tuple[Engine, Worker]) -> None:
    engine, _ = ticked
    log = engine.read(Name.EVENTS)
    ticks = [record for record in log[0] if record.key is None]
    ledger = engine.ledgers()[0]
    assert ledger.ticks == len(ticks) >= 2
    assert (ledger.events, ledger.rejected, ledger.matured) == (4, 0, 2)
    times = [json.loads(tick.value or b"")["ts_ms"] for tick in ticks]
    assert times == sorted(times)
    assert all(ts_ms <= tick.arrival_ms + 60_000 for ts_ms, tick in zip(times, ticks, strict=True))


def test_a_partition_without_any_event_gets_no_ticks(ticked: tuple[Engine, Worker]) -> None:
    assert ticked[0].ends(Name.EVENTS)[1] == 0
