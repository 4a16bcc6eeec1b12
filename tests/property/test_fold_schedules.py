"""Promises 1 and 2 over random logs, batch sizes and crashes at every step of the commit protocol; and that the checks
notice when a rule of the protocol is broken."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams import scoring, user_state
from streams.contracts.events import Consent, PageView, Purchase, View
from streams.scoring import Effects
from streams.testing import COMMIT, CRASH, LATE, Crash, MemoryEngine, MemoryLog, Step, broken_promises
from streams.testing.engine import Instruction, Position
from streams.testing.strategies import START_MS, follow, logs, schedules

LOGS, SCHEDULES_A_LOG = 260, 8
DAY_MS = 86_400_000
UNHURRIED: dict[str, Any] = {"derandomize": True, "deadline": None, "suppress_health_check": [HealthCheck.too_slow]}


def calm(log: MemoryLog, size: int | None = None) -> MemoryEngine:
    """The log without a crash, in batches of `size`."""
    engine = MemoryEngine(log=log)
    while engine.committed.offset < len(log):
        engine.batch(size)
    return engine


@settings(max_examples=LOGS, **UNHURRIED)
@given(logs(), st.lists(schedules, min_size=SCHEDULES_A_LOG, max_size=SCHEDULES_A_LOG))
def test_no_crash_breaks_a_promise(log: MemoryLog, drawn: list[list[tuple[int, Crash | None]]]) -> None:
    expected = calm(log)
    for schedule in drawn:
        engine = MemoryEngine(log=log)
        follow(engine, schedule)
        assert broken_promises(engine, expected) == []


@settings(max_examples=40, **UNHURRIED)
@given(logs(), schedules)
def test_nor_does_a_crash_of_a_worker_that_keeps_hardly_any_user_in_memory(
    log: MemoryLog, schedule: list[tuple[int, Crash | None]]
) -> None:
    expected = calm(log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_CACHED_USERS", 1)
        engine = MemoryEngine(log=log)
        follow(engine, schedule)
    assert broken_promises(engine, expected) == []


@settings(max_examples=40, **UNHURRIED)
@given(logs(), st.integers(1, 7))
def test_where_a_batch_ends_changes_nothing(log: MemoryLog, size: int) -> None:
    engine, expected = calm(log, size), calm(log)
    assert engine.store == expected.store
    assert {topic: engine.values(topic) for topic in engine.outputs} == {
        topic: expected.values(topic) for topic in expected.outputs
    }
    assert engine.committed == expected.committed


@settings(max_examples=40, **UNHURRIED)
@given(logs())
def test_ids_are_unique_and_seqs_rise_on_each_topic(log: MemoryLog) -> None:
    engine = calm(log)
    for topic in engine.outputs:
        records = [msgspec.json.decode(value) for value in engine.values(topic)]
        ids, seqs = [record["id"] for record in records], [tuple(record["seq"]) for record in records]
        assert len(set(ids)) == len(ids)
        assert seqs == sorted(set(seqs))


@settings(max_examples=40, **UNHURRIED)
@given(logs(), st.integers(0, 30))
def test_a_prediction_depends_on_nothing_that_came_after_it(log: MemoryLog, length: int) -> None:
    """No leak: the log cut off gives the same outputs as far as it goes."""
    prefix = MemoryLog()
    prefix.records = log.records[:length]
    short, whole = calm(prefix), calm(log)
    for topic in short.outputs:
        assert short.values(topic) == whole.values(topic)[: len(short.values(topic))]
        assert all(msgspec.json.decode(v)["seq"][0] >= length for v in whole.values(topic)[len(short.values(topic)) :])


def test_the_checks_see_work() -> None:
    """The drawn logs reach what the promises are about; else the tests above would hold for nothing."""
    sums = user_state.Ledger()
    crashes = records = 0

    @settings(max_examples=100, database=None, **UNHURRIED)
    @given(logs(), schedules)
    def count(log: MemoryLog, schedule: list[tuple[int, Crash | None]]) -> None:
        nonlocal crashes, records
        engine = MemoryEngine(log=log)
        follow(engine, schedule)
        crashes += engine.crashes
        records += len(log)
        for name in user_state.Ledger.__struct_fields__:
            setattr(sums, name, getattr(sums, name) + getattr(engine.ledger, name))

    count()
    assert crashes > 100
    assert records > 1_000
    for name in user_state.Ledger.__struct_fields__[3:]:
        assert getattr(sums, name) > 1, sums


# --- planted faults: each breaks one rule, and must be noticed -------------------------------------------------------


class StatesBeforeOutputs(MemoryEngine):
    """Breaks rule 1: "applied" no longer means that the outputs were delivered."""

    def _send_outputs(self, effects: Effects) -> None:
        self._send(Step.CHANGELOG, list(effects.states.items()), self.changelog.append)

    def _send_states(self, effects: Effects) -> None:
        super()._send_outputs(effects)


class CommitBeforeStates(MemoryEngine):
    """Breaks rule 1: the offset has passed records whose states are lost."""

    def _send_states(self, effects: Effects) -> None:
        self.commits.append(Position(effects.next_offset, effects.watermark_ms))
        super()._send_states(effects)


class CommitBeforeOutputs(MemoryEngine):
    """Breaks rule 1: the offset has passed records whose outputs were never sent."""

    def _send_outputs(self, effects: Effects) -> None:
        self.commits.append(Position(effects.next_offset, effects.watermark_ms))
        super()._send_outputs(effects)


class LedgerLast(MemoryEngine):
    """A user's guard may pass the ledger's: the records between are counted by nobody."""

    def _send_states(self, effects: Effects) -> None:
        ledger, *users = effects.states.items()
        self._send(Step.CHANGELOG, [*users, ledger], self.changelog.append)


class WatermarkForgotten(MemoryEngine):
    """Breaks rule 5: after a restart, time begins anew with the next record."""

    def _commit(self, effects: Effects) -> None:
        self.commits.append(Position(effects.next_offset, 0))
        self._may_die(Step.COMMIT)


class WatermarkAhead(MemoryEngine):
    """Breaks rule 5: after a restart the watermark is the newest time ever seen, not that of the offset."""

    newest_ms = 0

    def _process(self, size: int | None) -> None:
        for record in self.log.read(self.committed.offset, size):
            if record.key and record.value:
                self.newest_ms = max(self.newest_ms, msgspec.json.decode(record.value)["ts_ms"])
        super()._process(size)

    def start(self) -> None:
        super().start()
        self.fold.watermark_ms = max(self.fold.watermark_ms, self.newest_ms)


class GuardIgnored(MemoryEngine):
    """Breaks rule 1: an applied record is applied again."""

    def _stored(self, key: bytes) -> bytes | None:
        data = self.store.get(key)
        if data is None or user_state.is_ledger(key):
            return data
        user = user_state.decode_user(data)
        user.applied = -1
        return user_state.encode(user)


class TimersForgotten(MemoryEngine):
    """Recovery that sets no timers: touches of users who don't come back wait for ever."""

    def start(self) -> None:
        super().start()
        self.fold = scoring.PartitionFold(self.source, self._stored, watermark_ms=self.committed.watermark_ms)


class OldChangelog(MemoryEngine):
    """Recovery takes the first record of a key instead of the last."""

    def start(self) -> None:
        kept = self.changelog
        self.changelog = list(reversed(kept))
        super().start()
        self.changelog = kept


def _view(number: int, user: str, at_ms: int, item: str = "i1") -> View:
    return View(event_id=f"e{number}", user_id=user, ts_ms=START_MS + at_ms, item_id=item)


def _purchase(number: int, user: str, at_ms: int, item: str = "i1") -> Purchase:
    return Purchase(event_id=f"e{number}", user_id=user, ts_ms=START_MS + at_ms, item_id=item)


def _script(crash: Crash) -> list[Instruction]:
    """Touches, purchases, a refusal, late events; then a batch that dies, and after it a late one first."""
    return [
        _view(0, "ann", 0),
        _view(1, "bo", 1_000),
        COMMIT,
        _view(2, "cleo", 2_000),
        _purchase(3, "ann", DAY_MS),
        COMMIT,
        _view(4, "bo", 2 * DAY_MS, "i2"),
        Consent(event_id="e5", user_id="cleo", ts_ms=START_MS + 2 * DAY_MS, granted=False),
        _view(6, "dora", 2 * DAY_MS),
        COMMIT,
        _view(7, "ann", 8 * DAY_MS, "i3"),
        PageView(event_id="e15", user_id="ann", ts_ms=START_MS + 8 * DAY_MS),
        b"not json",
        _view(8, "bo", 8 * DAY_MS + 1, "i3"),
        PageView(event_id="e15", user_id="ann", ts_ms=START_MS + 9 * DAY_MS + DAY_MS // 8),  # a day later it's new
        crash,
        LATE(3 * DAY_MS),
        _view(9, "dora", 8 * DAY_MS + 2, "i4"),
        _view(10, "bo", 9 * DAY_MS + 2, "i4"),
        CRASH,
        COMMIT,
        LATE(3 * DAY_MS),
        _view(11, "emil", 9 * DAY_MS + 3),
        _purchase(12, "emil", 9 * DAY_MS + 4),
        COMMIT,
        Crash(Step.COMMIT),
        LATE(4 * DAY_MS),
        _purchase(13, "dora", 9 * DAY_MS + 5),
        _view(14, "ann", 30 * DAY_MS),
    ]


EVERY_CRASH = [Crash(step, done) for step in Step for done in (*range(8), None)]


def _broken(engine_type: type[MemoryEngine]) -> set[str]:
    """Kinds of promises that an engine breaks, over a crash at every point of the script's batch."""
    broken = set()
    for crash in EVERY_CRASH:
        engine, expected = engine_type(), MemoryEngine()
        engine.run(_script(crash))
        expected.run(part for part in _script(crash) if not isinstance(part, Crash))
        assert engine.crashes == 3
        broken |= {promise.split(":")[0] for promise in broken_promises(engine, expected)}
    return broken


def test_the_protocol_as_it_is_breaks_nothing() -> None:
    assert _broken(MemoryEngine) == set()
    engine = MemoryEngine()
    engine.run(_script(CRASH))
    assert {len(engine.values(topic)) > 0 for topic in engine.outputs} == {True}
    assert {example.label for example in engine.examples if hasattr(example, "label")} == {0, 1}


@pytest.mark.parametrize(
    ("fault", "noticed"),
    [
        (StatesBeforeOutputs, "delivery"),
        (CommitBeforeStates, "state"),
        (CommitBeforeOutputs, "delivery"),
        (LedgerLast, "ledger"),
        (WatermarkForgotten, "delivery"),
        (WatermarkAhead, "delivery"),
        (GuardIgnored, "state"),
        (TimersForgotten, "delivery"),
        (OldChangelog, "state"),
    ],
)
def test_a_broken_rule_is_noticed(fault: type[MemoryEngine], noticed: str) -> None:
    assert noticed in _broken(fault)
