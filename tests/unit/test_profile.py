"""The fold of a user's events: sessions, dwell, lateness, consent, bounds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streams.contracts.events import (
    AddToCart,
    Consent,
    Favorite,
    PageView,
    Purchase,
    Refund,
    RemoveFromCart,
    UserEvent,
    View,
)
from streams.features import windows
from streams.features.interests import MAX_KEYS
from streams.features.profile import (
    BOUGHT,
    CARTED,
    FAVORITED,
    MAX_DWELL_MS,
    MAX_ENCODED_BYTES,
    MAX_ITEMS,
    MAX_SESSION_ITEMS,
    MAX_TRAIL,
    REFUNDED,
    SESSION_GAP_MS,
    Profile,
    Step,
    fold,
    price_band,
)
from streams.features.view import view

NOW_MS = 1_767_571_200_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000


class User:
    """Folds events at times relative to the first, with offsets from 0."""

    def __init__(self) -> None:
        self.profile = Profile()
        self.offset = -1

    def does(self, kind: type[Any], at_ms: int, item: str | None = None, **fields: Any) -> Step:
        self.offset += 1
        if item is not None:
            fields["item_id"] = item
        event: UserEvent = kind(event_id=f"e{self.offset}", user_id="ann", ts_ms=NOW_MS + at_ms, **fields)
        return fold(self.profile, event, self.offset)


@pytest.fixture
def ann() -> User:
    return User()


# --- sessions -------------------------------------------------------------------------------------------------------


def test_30_minutes_of_inactivity_end_a_session_and_less_does_not(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(View, SESSION_GAP_MS, "i2")
    assert (ann.profile.session.number, ann.profile.session.events) == (1, 2)
    ann.does(View, 2 * SESSION_GAP_MS + 1, "i3")
    session = ann.profile.session
    assert (session.number, session.events, list(session.items)) == (2, 1, ["i3"])
    assert session.start_ms == session.last_ms == NOW_MS + 2 * SESSION_GAP_MS + 1


def test_an_event_up_to_30_minutes_before_the_start_belongs_to_the_session(ann: User) -> None:
    ann.does(View, 0, "i1")
    step = ann.does(View, -SESSION_GAP_MS, "i2")
    assert not step.late
    assert ann.profile.session.start_ms == NOW_MS - SESSION_GAP_MS
    assert ann.profile.session.last_ms == NOW_MS
    assert ann.profile.session.number == 1


def test_an_older_one_is_late_and_counts_but_not_for_the_session(ann: User) -> None:
    ann.does(View, 0, "i1")
    before = msgspec.msgpack.encode(ann.profile.session)
    step = ann.does(View, -SESSION_GAP_MS - 1, "i2", category="c")
    assert step == Step(late=True, too_old=False, personal=True, first_of_item=False, moved_to_item=False, previous=[])
    assert msgspec.msgpack.encode(ann.profile.session) == before
    assert ann.profile.last_ms == NOW_MS
    assert ann.profile.totals[windows.VIEW] == 2
    assert windows.counts(ann.profile.windows, NOW_MS)[0][windows.VIEW] == 2
    assert ann.profile.items["i2"].views == 1
    assert "c" in ann.profile.interests.categories


def test_one_older_than_a_month_is_too_old_for_the_windows(ann: User) -> None:
    ann.does(View, 0, "i1")
    step = ann.does(View, -40 * DAY_MS, "i2")
    assert step.late
    assert step.too_old
    assert ann.profile.totals[windows.VIEW] == 2
    assert windows.counts(ann.profile.windows, NOW_MS)[3][windows.VIEW] == 1


def test_the_first_touch_of_an_item_in_a_session_is_the_first_only_once(ann: User) -> None:
    steps = [ann.does(View, n, item) for n, item in enumerate(["i1", "i2", "i1", "i1"])]
    assert [step.first_of_item for step in steps] == [True, True, False, False]
    assert [step.moved_to_item for step in steps] == [True, True, True, False]
    assert [step.previous for step in steps] == [[], ["i1"], ["i1", "i2"], ["i1", "i2", "i1"]]
    assert ann.profile.session.items == {"i1": 0, "i2": 1}
    assert ann.does(View, 2 * DAY_MS, "i1").first_of_item


def test_a_step_keeps_the_trail_as_it_was(ann: User) -> None:
    ann.does(View, 0, "i1")
    step = ann.does(View, 1, "i2")
    ann.does(View, 2, "i3")
    assert step.previous == ["i1"]


def test_carts_count_and_purchases_and_favorites_are_no_touches(ann: User) -> None:
    assert ann.does(AddToCart, 0, "i1").first_of_item
    for kind in (Purchase, Favorite, Refund, RemoveFromCart):
        step = ann.does(kind, 1, "i2")
        assert not step.first_of_item
        assert not step.moved_to_item
    assert ann.profile.session.carts == 1
    assert ann.profile.session.trail == ["i1"]
    assert ann.profile.session.events == 5


def test_pauses_between_visits_are_averaged(ann: User) -> None:
    ann.does(PageView, 0)
    assert (ann.profile.pause_ms, ann.profile.gap_ms) == (0, 0)
    ann.does(PageView, 4 * DAY_MS)
    assert (ann.profile.pause_ms, ann.profile.gap_ms) == (4 * DAY_MS, 4 * DAY_MS)
    ann.does(PageView, 12 * DAY_MS)
    assert (ann.profile.pause_ms, ann.profile.gap_ms) == (8 * DAY_MS, 5 * DAY_MS)


# --- dwell ----------------------------------------------------------------------------------------------------------


def test_an_item_is_looked_at_until_the_user_does_something_else(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(PageView, 12_345)
    ann.does(PageView, 60_000)
    assert ann.profile.items["i1"].dwell_s == 12


def test_looks_at_an_item_add_up_and_each_counts_10_minutes_at_most(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(View, 5_000, "i1")
    ann.does(View, 5_000 + 20 * MINUTE_MS, "i2")
    assert ann.profile.items["i1"].dwell_s == 5 + MAX_DWELL_MS // 1000
    assert ann.profile.items["i2"].dwell_s == 0


def test_the_last_item_of_a_session_gets_no_dwell_from_the_next(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(View, DAY_MS, "i2")
    ann.does(PageView, DAY_MS + 1_000)
    assert ann.profile.items["i1"].dwell_s == 0
    assert ann.profile.items["i2"].dwell_s == 1


def test_an_event_from_before_the_look_does_not_end_it(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(PageView, -1_000)
    ann.does(PageView, 3_000)
    assert ann.profile.items["i1"].dwell_s == 3


def test_a_cart_of_another_item_gets_no_dwell_that_was_the_first_items(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(AddToCart, -1_000, "i2")
    ann.does(PageView, 60_000)
    assert ann.profile.items["i2"].dwell_s == 0


# --- items ----------------------------------------------------------------------------------------------------------


def test_what_was_done_with_an_item_is_remembered(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(View, 1_000, "i1")
    ann.does(AddToCart, 2_000, "i1")
    ann.does(Favorite, 3_000, "i1")
    memory = ann.profile.items["i1"]
    assert (memory.views, memory.flags) == (2, CARTED | FAVORITED)
    ann.does(RemoveFromCart, 4_000, "i1")
    assert memory.flags == FAVORITED
    ann.does(Purchase, 5_000, "i1")
    ann.does(Refund, 6_000, "i1")
    assert memory.flags == FAVORITED | BOUGHT | REFUNDED
    assert ann.profile.totals == [2, 1, 1, 1, 1]


def test_the_items_not_seen_for_longest_are_forgotten(ann: User) -> None:
    for number in range(MAX_ITEMS):
        ann.does(View, number, f"i{number}")
    ann.does(View, 60, "i0")
    ann.does(View, 61, "new")
    assert len(ann.profile.items) == MAX_ITEMS == 50
    assert "i1" not in ann.profile.items
    assert {"i0", "new"} <= ann.profile.items.keys()


def test_depth_and_trail_are_bounded_and_keep_the_newest(ann: User) -> None:
    for number in range(MAX_SESSION_ITEMS + 5):
        ann.does(View, number, f"i{number}")
    session = ann.profile.session
    assert len(session.items) == MAX_SESSION_ITEMS == 100
    assert "i4" not in session.items
    assert session.trail == [f"i{n}" for n in range(105 - MAX_TRAIL, 105)]


@pytest.mark.parametrize(
    ("price_minor", "band"),
    [
        (None, None),
        (0, 0),
        (1, 1),
        (2, 2),
        (3, 2),
        (4, 3),
        (999, 10),
        (1023, 10),
        (1024, 11),
        (2**30, 31),
        (10**12, 31),
    ],
)
def test_a_price_band_is_the_octave_of_the_price(price_minor: int | None, band: int | None) -> None:
    assert price_band(price_minor) == band


# --- consent --------------------------------------------------------------------------------------------------------


def test_refusing_forgets_all_but_the_session(ann: User) -> None:
    ann.does(View, 0, "i1", category="c", price_minor=5)
    ann.does(View, DAY_MS, "i2")
    ann.does(Consent, DAY_MS + 1, granted=False)
    fresh = Profile(granted=False, last_ms=NOW_MS + DAY_MS + 1, session=ann.profile.session)
    assert ann.profile == fresh
    assert ann.profile.session.items == {"i2": 1}


def test_while_refused_only_the_session_is_kept(ann: User) -> None:
    ann.does(Consent, 0, granted=False)
    step = ann.does(View, 1, "i1", category="c", price_minor=5)
    assert not step.personal
    assert step.first_of_item
    ann.does(Purchase, 2, "i1")
    ann.does(View, DAY_MS, "i2")
    assert ann.profile == Profile(granted=False, last_ms=NOW_MS + DAY_MS, session=ann.profile.session)
    assert ann.profile.session.number == 2


def test_granting_again_begins_a_new_profile(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(Consent, 1, granted=False)
    ann.does(Consent, 2, granted=True)
    assert ann.does(View, 3, "i2").personal
    assert list(ann.profile.items) == ["i2"]
    assert ann.profile.totals[windows.VIEW] == 1


def test_granting_what_is_granted_changes_no_memory(ann: User) -> None:
    ann.does(View, 0, "i1")
    ann.does(Consent, 1, granted=True)
    assert list(ann.profile.items) == ["i1"]


def test_an_event_that_refuses_for_itself_leaves_the_profile_and_no_trace_in_it(ann: User) -> None:
    ann.does(View, 0, "i1")
    kept = msgspec.structs.replace(ann.profile, session=None, last_ms=0)  # type: ignore[type-var]
    before = msgspec.msgpack.encode(kept)
    step = ann.does(View, 1, "i2", consent=False, category="c")
    assert not step.personal
    after = msgspec.structs.replace(ann.profile, session=None, last_ms=0)  # type: ignore[type-var]
    after.items["i1"].dwell_s = 0
    assert msgspec.msgpack.encode(after) == before
    assert list(ann.profile.session.items) == ["i1", "i2"]


def test_an_event_cannot_grant_what_the_user_refused(ann: User) -> None:
    ann.does(Consent, 0, granted=False)
    assert not ann.does(View, 1, "i1", consent=True).personal


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_the_profile_of_the_worst_user_stays_within_its_bound(ann: User) -> None:
    """Two months of a cart every half hour, all ids of the longest, in characters of four bytes each."""

    def longest(number: int, length: int) -> str:
        return f"{number:04d}" + "\U0001f600" * (length - 4)

    times = [half_hour * 30 * MINUTE_MS for half_hour in range(60 * 48)]
    times += [times[-1] + n * MINUTE_MS // 2 for n in range(300)]
    for number, at_ms in enumerate(times):
        category, brand = longest(number % 20, 512), longest(number % 20, 512)
        ann.does(View, at_ms, longest(number, 128), category=category, brand=brand, price_minor=1 << number % 40)
        ann.does(Refund, at_ms, longest(number, 128), category=category, brand=brand)
    profile = ann.profile
    assert len(profile.items) == MAX_ITEMS
    assert len(profile.session.items) == MAX_SESSION_ITEMS
    assert len(profile.session.trail) == MAX_TRAIL
    assert len(profile.interests.categories) == len(profile.interests.price_bands) == MAX_KEYS
    size = len(msgspec.msgpack.encode(profile))
    assert 0.8 * MAX_ENCODED_BYTES < size < MAX_ENCODED_BYTES


def test_looking_at_a_profile_changes_nothing(ann: User) -> None:
    for number in range(30):
        ann.does(View, number * 20 * MINUTE_MS, f"i{number % 4}", category="c")
    before = msgspec.msgpack.encode(ann.profile)
    view(ann.profile, ann.profile.last_ms + 40 * DAY_MS)
    view(ann.profile, ann.profile.last_ms)
    assert msgspec.msgpack.encode(ann.profile) == before
