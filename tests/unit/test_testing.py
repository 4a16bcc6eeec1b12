"""The in-memory partition that others test with: what survives a crash, what the script words mean."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from streams.contracts.events import Tick, View
from streams.contracts.identity import Seq
from streams.contracts.topics import Name
from streams.testing import (
    COMMIT,
    CRASH,
    DUPLICATE,
    LATE,
    Crash,
    MemoryEngine,
    MemoryLog,
    Step,
    Subscriber,
    broken_promises,
    seq_of,
)
from streams.testing.strategies import START_MS


def view(number: int, at_ms: int = 0, user: str = "ann") -> View:
    return View(event_id=f"e{number}", user_id=user, ts_ms=START_MS + at_ms, item_id=f"i{number}")


def test_a_log_counts_offsets_from_0_and_arrival_never_goes_back() -> None:
    log = MemoryLog()
    assert [log.append(view(0, 500)), log.append(view(1, 100)), log.append(view(2, 900), late_ms=600)] == [0, 1, 2]
    assert [record.arrival_ms - START_MS for record in log.records] == [500, 500, 900]
    assert log.append(Tick(ts_ms=START_MS)) == 3
    assert log.records[3].key is None
    assert log.repeat(0) == 4
    assert log.records[4].value == log.records[0].value
    assert [record.offset for record in log.read(1, 2)] == [1, 2]
    assert len(log.read(4)) == len(log) - 4 == 1


def test_commit_ends_a_batch_and_the_end_of_the_script_too() -> None:
    engine = MemoryEngine()
    engine.run([view(0), view(1), COMMIT, view(2), COMMIT, COMMIT, view(3)])
    assert [position.offset for position in engine.commits] == [2, 3, 4]


def test_duplicate_repeats_and_late_sets_back_only_the_next_event() -> None:
    engine = MemoryEngine()
    engine.run([view(0, 10), DUPLICATE(0), LATE(7), view(1, 20), view(2, 20), b"no event", None])
    assert engine.log.records[1].value == engine.log.records[0].value
    assert [
        b'"ts_ms":%d' % (START_MS + ms) in (engine.log.records[n].value or b"") for n, ms in ((2, 13), (3, 20))
    ] == [
        True,
        True,
    ]
    assert (engine.ledger.duplicates, engine.ledger.rejected, engine.ledger.events) == (1, 2, 3)


@pytest.mark.parametrize(
    ("crash", "outputs", "changelog", "commits"),
    [
        (CRASH, 0, 0, 0),
        (Crash(Step.OUTPUTS, 0), 0, 0, 0),
        (Crash(Step.OUTPUTS, 2), 2, 0, 0),
        (Crash(Step.OUTPUTS), 6, 0, 0),
        (Crash(Step.CHANGELOG, 1), 6, 1, 0),
        (Crash(Step.CHANGELOG), 6, 3, 0),
        (Crash(Step.STORE), 6, 3, 0),
        (Crash(Step.COMMIT), 6, 3, 1),
    ],
)
def test_a_crash_leaves_what_the_steps_before_it_did(crash: Crash, outputs: int, changelog: int, commits: int) -> None:
    """Two views by two users: three outputs each; a ledger and two states."""
    engine = MemoryEngine()
    for event in (view(0), view(1, user="bo")):
        engine.log.append(event)
    before = engine.fold
    engine.batch(crash=crash)
    assert sum(map(len, engine.outputs.values())) == outputs
    assert len(engine.changelog) == changelog
    assert len(engine.commits) == commits
    assert engine.store == dict(engine.changelog)
    assert engine.fold is not before
    assert engine.crashes == 1


def test_after_a_crash_the_batch_is_repeated_from_the_committed_offset() -> None:
    engine, calm = MemoryEngine(), MemoryEngine()
    engine.run([view(0), COMMIT, view(1), Crash(Step.OUTPUTS), view(2)])
    calm.run([view(0), view(1), view(2)])
    assert len(engine.values(Name.CONVERSIONS)) == 4
    assert Subscriber().take(engine.values(Name.CONVERSIONS)) == calm.values(Name.CONVERSIONS)
    assert broken_promises(engine, calm) == []


def test_broken_promises_are_told_in_words() -> None:
    engine, calm = MemoryEngine(), MemoryEngine()
    engine.run([view(0)])
    calm.run([view(0), view(1)])
    engine.log.append(view(1))
    told = broken_promises(engine, calm)
    assert [line.split(":")[0] for line in told] == ["state"] * 2 + ["delivery"] * 3 + ["ledger", "commits"]


def test_a_subscriber_takes_each_record_once_and_remembers_between_calls() -> None:
    def record(offset: int, index: int) -> bytes:
        return b'{"seq":[%d,%d],"other":1}' % (offset, index)

    subscriber = Subscriber()
    assert subscriber.take([record(1, 0), record(1, 1), record(1, 0)]) == [record(1, 0), record(1, 1)]
    assert subscriber.take([record(1, 1), record(2, 0)]) == [record(2, 0)]
    assert subscriber.newest == seq_of(record(2, 0)) == Seq(2, 0)


def test_hypothesis_is_needed_only_by_those_who_draw() -> None:
    code = "import sys, streams.testing; sys.exit('hypothesis' in sys.modules)"
    result: Any = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    assert result.returncode == 0, result.stderr
