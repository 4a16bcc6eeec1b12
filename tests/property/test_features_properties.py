"""Features against naive computations over all events ever, and what holds of every history."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.contracts.bounds import CHANNELS
from streams.contracts.events import TOUCH_EVENTS, EraseUser, UserEvent
from streams.features import interests, windows
from streams.features.interests import HALF_LIFE_MS, Interests
from streams.features.profile import Profile, fold
from streams.features.recent_ids import RecentIds, seen_or_add
from streams.features.view import FEATURES, pack, touch_vector, unpack, view
from streams.features.windows import DAY_MS, HOUR_MS, KINDS, SPANS_MS
from streams.testing.strategies import START_MS, lateness_ms, steps_ms, user_events

UNHURRIED: dict[str, Any] = {
    "derandomize": True,
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
WIDTHS_MS = (5 * 60_000, HOUR_MS, DAY_MS, DAY_MS)

ages_ms = st.one_of(
    st.integers(0, 2 * HOUR_MS), st.integers(0, 2 * DAY_MS), st.integers(0, 8 * DAY_MS), st.integers(0, 35 * DAY_MS)
)
actions = st.lists(st.tuples(ages_ms, st.integers(0, len(KINDS) - 1)), min_size=1, max_size=60)


@settings(max_examples=250, **UNHURRIED)
@given(actions, st.integers(0, 3 * DAY_MS))
def test_windows_are_the_naive_count_up_to_one_bucket(drawn: list[tuple[int, int]], later_ms: int) -> None:
    """Nothing within the span is missing, and nothing older than span and bucket is in it."""
    made, kept = windows.empty(), []
    for age_ms, kind in drawn:
        at_ms = START_MS - age_ms
        if windows.add(made, kind, at_ms):
            kept.append((at_ms, kind))
        else:
            assert at_ms < made.head_ms - 30 * DAY_MS
    now_ms = made.head_ms + later_ms
    for span, row in enumerate(windows.counts(made, now_ms)):
        for kind in range(len(KINDS)):
            times = [at_ms for at_ms, of in kept if of == kind]
            at_least = sum(at_ms > now_ms - SPANS_MS[span] for at_ms in times)
            at_most = sum(at_ms >= now_ms - SPANS_MS[span] - WIDTHS_MS[span] for at_ms in times)
            assert at_least <= row[kind] <= at_most


@settings(max_examples=200, **UNHURRIED)
@given(actions, st.randoms(use_true_random=False))
def test_windows_do_not_depend_on_the_order_of_arrival(drawn: list[tuple[int, int]], random: Any) -> None:
    one, other = windows.empty(), windows.empty()
    for age_ms, kind in drawn:
        windows.add(one, kind, START_MS - age_ms)
    random.shuffle(drawn)
    for age_ms, kind in drawn:
        windows.add(other, kind, START_MS - age_ms)
    assert one == other
    assert sum(map(len, one.tiers)) <= windows.MAX_ROWS


liking = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from([1.0, 3.0, 4.0, 6.0]), st.integers(0, 3 * 365 * DAY_MS)),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200, **UNHURRIED)
@given(liking, st.booleans())
def test_interests_are_naive_decay_in_any_order(drawn: list[tuple[str, float, int]], in_order: bool) -> None:
    """Shares equal those of weights that halve every 14 days, up to what is forgotten as negligible."""
    kept, now_ms = Interests(), max(at_ms for _, _, at_ms in drawn)
    naive: dict[str, float] = defaultdict(float)
    for key, weight, at_ms in sorted(drawn, key=lambda one: one[2]) if in_order else drawn:
        interests.add(kept, weight, START_MS + at_ms, category=key, brand=None, band=None)
        naive[key] += weight * 2.0 ** ((at_ms - now_ms) / HALF_LIFE_MS)
    total = sum(naive.values())
    for key in "abcdef":
        assert interests.share(kept.categories, key) == pytest.approx(naive[key] / total, abs=1e-8)


@settings(max_examples=200, **UNHURRIED)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 3 * 1440)), max_size=200))
def test_repeats_are_those_of_a_naive_memory(drawn: list[tuple[int, int]]) -> None:
    recent = RecentIds()
    memory: list[tuple[int, int]] = []
    for identity, minute in drawn:
        found = next((entry for entry in memory if entry[0] == identity), None)
        repeat = found is not None and abs(found[1] - minute) <= 1440
        if not repeat:
            memory = [*(entry for entry in memory if entry[0] != identity), (identity, minute)][-64:]
        assert seen_or_add(recent, str(identity), minute * 60_000) == repeat
    assert len(recent) == len(memory)


@st.composite
def histories(draw: st.DrawFn) -> list[UserEvent]:
    now_ms, events = START_MS, []
    for number in range(draw(st.integers(1, 40))):
        now_ms += draw(steps_ms)
        event = draw(user_events(now_ms, f"e{number}"))
        late_ms = draw(lateness_ms)
        if not isinstance(event, EraseUser):
            events.append(msgspec.structs.replace(event, ts_ms=now_ms - late_ms))
    return events


OCTAVE, EIGHTH, HOUR, BAND = range(16), range(8), range(24), range(32)
RANGES: dict[str, range] = {
    "touch": range(2),
    "price_band": BAND,
    "channel": range(len(CHANNELS)),
    "hour": HOUR,
    "weekday": range(7),
    "item_flags": range(16),
    "activity": range(5),
    **dict.fromkeys(("category_share", "brand_share", "price_share", "channel_share"), EIGHTH),
}
IDS = {"item", "category", "department", "brand"}
MAY_MISS = {
    *("category", "department", "brand", "price_band", "recency_hours", "frequency_hours"),
    *("category_share", "brand_share", "price_share"),
}


@settings(max_examples=100, **UNHURRIED)
@given(histories())
def test_vectors_have_every_feature_in_its_range(events: list[UserEvent]) -> None:
    profile = Profile()
    for offset, event in enumerate(events):
        fold(profile, event, offset)
        features = view(profile, profile.last_ms)
        assert 0.0 < features.conversion_rate <= 1.0
        shares = [features.channel_share(channel) for channel in range(len(CHANNELS))]
        assert math.isclose(sum(shares), 1.0) or not any(shares)
        assert all(later >= earlier for earlier, later in zip(*features.counts[:2], strict=True))
        if not isinstance(event, TOUCH_EVENTS):
            continue
        vector = touch_vector(features, profile, event)
        assert unpack(pack(vector)) == vector
        for name, value in zip(FEATURES, vector, strict=True):
            if value is None:
                assert name in MAY_MISS
            elif name in IDS:
                assert isinstance(value, str)
            else:
                assert value in RANGES.get(name, OCTAVE), (name, value)


@settings(max_examples=100, **UNHURRIED)
@given(histories(), st.integers(0, 40))
def test_storing_and_looking_in_between_change_nothing(events: list[UserEvent], at: int) -> None:
    one, other = Profile(), Profile()
    for offset, event in enumerate(events):
        fold(one, event, offset)
        fold(other, event, offset)
        view(other, other.last_ms + offset * HOUR_MS)
        if offset == at:
            other = msgspec.msgpack.decode(msgspec.msgpack.encode(other), type=Profile)
    assert msgspec.msgpack.encode(one) == msgspec.msgpack.encode(other)
