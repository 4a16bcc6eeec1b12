"""Which repeats of an event id are dropped: the last 64 of a user, within 24 hours."""

from __future__ import annotations

from streams.features.recent_ids import MAX_IDS, RecentIds, seen_or_add

NOW_MS = 1_767_571_200_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000


def test_an_id_is_new_once() -> None:
    recent = RecentIds()
    assert not seen_or_add(recent, "e1", NOW_MS)
    assert seen_or_add(recent, "e1", NOW_MS)
    assert not seen_or_add(recent, "e2", NOW_MS)
    assert len(recent) == 2


def test_within_24_hours_before_or_after_it_is_a_repeat_and_beyond_it_is_not() -> None:
    for sign in (1, -1):
        recent = RecentIds()
        assert not seen_or_add(recent, "e1", NOW_MS)
        assert seen_or_add(recent, "e1", NOW_MS + sign * DAY_MS)
        assert not seen_or_add(recent, "e1", NOW_MS + sign * (DAY_MS + MINUTE_MS))


def test_an_id_used_anew_after_a_day_is_remembered_at_its_new_time() -> None:
    recent = RecentIds()
    seen_or_add(recent, "e1", NOW_MS)
    seen_or_add(recent, "e2", NOW_MS)
    assert not seen_or_add(recent, "e1", NOW_MS + 2 * DAY_MS)
    assert seen_or_add(recent, "e1", NOW_MS + 3 * DAY_MS)
    assert seen_or_add(recent, "e2", NOW_MS)
    assert len(recent) == 2


def test_of_more_than_64_the_oldest_is_forgotten() -> None:
    recent = RecentIds()
    for number in range(MAX_IDS + 1):
        assert not seen_or_add(recent, f"e{number}", NOW_MS)
    assert len(recent) == MAX_IDS == 64
    assert seen_or_add(recent, "e1", NOW_MS)
    assert not seen_or_add(recent, "e0", NOW_MS)
    assert not seen_or_add(recent, "e1", NOW_MS), "e0 pushed it out"


def test_a_repeat_takes_no_place() -> None:
    recent = RecentIds()
    for number in range(MAX_IDS):
        seen_or_add(recent, f"e{number}", NOW_MS)
    for _ in range(100):
        assert seen_or_add(recent, "e63", NOW_MS)
    assert seen_or_add(recent, "e0", NOW_MS)


def test_times_at_the_bounds_are_kept() -> None:
    recent = RecentIds()
    assert not seen_or_add(recent, "first", 0)
    assert not seen_or_add(recent, "last", 4_102_444_800_000)
    assert seen_or_add(recent, "first", 0)
    assert seen_or_add(recent, "last", 4_102_444_800_000)
