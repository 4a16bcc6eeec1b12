"""Promises 1 and 2 over random logs, batch sizes and crashes at every step of the commit protocol."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams import scoring
from streams.testing import Crash, MemoryEngine, MemoryLog, broken_promises
from streams.testing.strategies import follow, logs, schedules

LOGS = 400
SCHEDULES_A_LOG = 6


def calm(log: MemoryLog) -> MemoryEngine:
    """The log without a crash, in one batch."""
    engine = MemoryEngine(log=log)
    engine.batch()
    return engine


@settings(max_examples=LOGS)
@given(logs(), st.lists(schedules, min_size=SCHEDULES_A_LOG, max_size=SCHEDULES_A_LOG))
def test_no_crash_breaks_a_promise(log: MemoryLog, drawn: list[list[tuple[int, Crash | None]]]) -> None:
    expected = calm(log)
    for schedule in drawn:
        engine = MemoryEngine(log=log)
        follow(engine, schedule)
        assert broken_promises(engine, expected) == []


