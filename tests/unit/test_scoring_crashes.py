"""Schedules that once broke a promise, as short as they get."""

from __future__ import annotations

from streams.contracts.events import Consent, View
from streams.contracts.topics import Name
from streams.testing import COMMIT, LATE, Crash, MemoryEngine, Step, broken_promises
from streams.testing.engine import Instruction

DAY_MS = 86_400_000
START_MS = 1_767_571_200_000


def view(number: int, user: str, at_ms: int, item: str = "i1") -> View:
    return View(event_id=f"e{number}", user_id=user, ts_ms=START_MS + at_ms, item_id=item)


def consent(number: int, user: str, at_ms: int, granted: bool) -> Consent:
    return Consent(event_id=f"e{number}", user_id=user, ts_ms=START_MS + at_ms, granted=granted)


def check(script: list[Instruction]) -> MemoryEngine:
    engine, calm = MemoryEngine(), MemoryEngine()
    engine.run(script)
    calm.run(instruction for instruction in script if not isinstance(instruction, Crash) and instruction is not COMMIT)
    assert calm.values(Name.EXAMPLES)
    assert broken_promises(engine, calm) == []
    return engine


def test_a_touch_that_came_after_its_horizon_matures_at_the_same_record_after_a_crash() -> None:
    """Its state is ahead of the committed watermark, so a replayed record must not fire its timer."""
    check(
        [
            view(0, "ann", 20 * DAY_MS),
            COMMIT,
            view(1, "ann", 21 * DAY_MS),
            LATE(9 * DAY_MS),
            view(2, "bo", 21 * DAY_MS),
            Crash(Step.CHANGELOG),
            view(3, "cleo", 22 * DAY_MS),
        ]
    )


def test_outcomes_of_one_record_come_in_the_same_order_after_a_crash() -> None:
    """Ann's timer was set for a touch that her consent took away; a recovered worker has no such timer."""
    for sent in range(5):
        check(
            [
                view(0, "ann", 0),
                consent(1, "ann", 1_000, False),
                consent(2, "ann", 2_000, True),
                view(3, "bo", 3_000),
                view(4, "ann", 4_000, "i2"),
                COMMIT,
                view(5, "cleo", 8 * DAY_MS),
                Crash(Step.OUTPUTS, sent),
            ]
        )
