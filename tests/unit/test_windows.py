"""Counts over sliding windows: exact at their edges up to one bucket, whatever the order of arrival."""

from __future__ import annotations

from streams.features import windows
from streams.features.windows import CART, DAY_MS, HOUR_MS, KINDS, MAX_ROWS, SPANS_MS, VIEW

NOW_MS = 1_767_571_200_000


def filled(*ages_ms: int) -> windows.Windows:
    made = windows.empty()
    for age_ms in ages_ms:
        windows.add(made, VIEW, NOW_MS - age_ms)
    return made


def views(made: windows.Windows, at_ms: int = NOW_MS) -> list[int]:
    return [row[VIEW] for row in windows.counts(made, at_ms)]


def test_nothing_counted_is_zero() -> None:
    assert windows.counts(windows.empty(), NOW_MS) == ([0] * 5, [0] * 5, [0] * 5, [0] * 5)


def test_each_span_counts_what_happened_within_it() -> None:
    made = filled(0, HOUR_MS // 2, 2 * HOUR_MS, 2 * DAY_MS, 20 * DAY_MS)
    assert views(made) == [2, 3, 4, 5]


def test_kinds_are_counted_apart() -> None:
    made = filled(0, 0)
    windows.add(made, CART, NOW_MS)
    assert windows.counts(made, NOW_MS)[0] == [2, 1, 0, 0, 0]
    assert len(KINDS) == 5


def test_counts_fall_out_as_time_moves_on() -> None:
    made = filled(0)
    for span, span_ms in enumerate(SPANS_MS):
        width_ms = (5 * 60_000, HOUR_MS, DAY_MS, DAY_MS)[span]
        assert views(made, NOW_MS + span_ms)[span] == 1
        assert views(made, NOW_MS + span_ms + width_ms)[span] == 0


def test_older_than_a_month_is_said_and_not_counted() -> None:
    made = filled(0)
    assert not windows.add(made, VIEW, NOW_MS - 32 * DAY_MS)
    assert windows.add(made, VIEW, NOW_MS - 29 * DAY_MS)
    assert views(made) == [1, 1, 1, 2]


def test_looking_changes_nothing() -> None:
    made = filled(0, HOUR_MS, DAY_MS)
    before = repr(made)
    windows.counts(made, NOW_MS + 3 * DAY_MS)
    assert repr(made) == before


def test_a_month_of_an_event_a_minute_stays_within_the_bound_of_rows() -> None:
    made = windows.empty()
    for minute in range(32 * 24 * 60):
        windows.add(made, VIEW, NOW_MS + minute * 60_000)
    assert sum(map(len, made.tiers)) <= MAX_ROWS == 69
