"""Features at a moment and the vector of a touch: missing values, buckets, smoothing, ranges."""

from __future__ import annotations

from typing import Any

import pytest

from streams.contracts.bounds import CHANNELS
from streams.contracts.events import AddToCart, Purchase, View
from streams.features.profile import Profile, fold
from streams.features.view import (
    CROSSES,
    FEATURES,
    PRIOR_CONVERSION_RATE,
    PRIOR_STRENGTH,
    SCHEMA,
    Vector,
    pack,
    touch_vector,
    unpack,
    view,
)

NOW_MS = 1_767_571_200_000  # Monday 2026-01-05, 00:00 UTC
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
OCTAVES = range(16)
EIGHTHS = range(8)


def seen(kind: type[Any], at_ms: int, item: str = "i1", **fields: Any) -> Any:
    return kind(event_id=f"e{at_ms}", user_id="ann", ts_ms=NOW_MS + at_ms, item_id=item, **fields)


def vector_of(*events: Any) -> dict[str, int | str | None]:
    """The named vector of the last event, after all of them."""
    profile = Profile()
    for offset, event in enumerate(events):
        fold(profile, event, offset)
    features = view(profile, profile.last_ms)
    return dict(zip(FEATURES, touch_vector(features, profile, events[-1]), strict=True))


def test_names_are_unique_and_crosses_are_of_them() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == 36
    assert {name for pair in CROSSES for name in pair} <= set(FEATURES)
    assert len(SCHEMA) == 12


def test_a_first_view_of_which_nothing_is_known() -> None:
    assert vector_of(seen(View, 0)) == {
        "touch": 0,
        "item": "i1",
        "category": None,
        "department": None,
        "brand": None,
        "price_band": None,
        "channel": 0,
        "hour": 0,
        "weekday": 0,
        "depth": 1,
        "session_events": 1,
        "session_minutes": 0,
        "session_carts": 0,
        "visits": 1,
        "recency_hours": None,
        "frequency_hours": None,
        "age_days": 0,
        "views_1h": 1,
        "views_24h": 1,
        "views_7d": 1,
        "views_30d": 1,
        "carts_24h": 0,
        "carts_30d": 0,
        "favorites_30d": 0,
        "purchases_7d": 0,
        "purchases_30d": 0,
        "refunds_30d": 0,
        "item_views": 1,
        "item_dwell_s": 0,
        "item_flags": 0,
        "category_share": None,
        "brand_share": None,
        "price_share": None,
        "conversion_rate": 7,  # one touch without a purchase: just below the prior
        "activity": 1,
        "channel_share": 7,
    }


def test_a_visitor_who_comes_back() -> None:
    known = {"category": "home.kitchen.mixer", "brand": "b", "price_minor": 1_999}
    values = vector_of(
        seen(View, 0, "i1", **known),
        seen(AddToCart, 9 * MINUTE_MS, "i1", **known),
        seen(Purchase, 10 * MINUTE_MS, "i1", **known),
        seen(View, 3 * DAY_MS + 13 * HOUR_MS, "i1", channel="ios", **known),
    )
    assert values["department"] == "home"
    assert (values["hour"], values["weekday"]) == (13, 3)
    assert (values["price_band"], values["channel"]) == (11, CHANNELS.index("ios"))
    assert (values["visits"], values["session_events"], values["depth"]) == (2, 1, 1)
    assert values["recency_hours"] == (3 * 24 + 13 - 1).bit_length()  # from the purchase on
    assert values["age_days"] == 2
    assert (values["views_1h"], values["views_7d"], values["carts_24h"], values["carts_30d"]) == (1, 2, 0, 1)
    assert (values["purchases_7d"], values["refunds_30d"]) == (1, 0)
    assert (values["item_views"], values["item_dwell_s"], values["item_flags"]) == (2, (540).bit_length(), 5)
    assert (values["category_share"], values["brand_share"], values["price_share"]) == (7, 7, 7)
    assert values["conversion_rate"] == 10  # (1 + 0.6) / (2 + 20) is 2.4 times the prior
    assert values["channel_share"] == 2


def test_an_outlier_lands_in_the_last_bucket() -> None:
    profile = Profile()
    for offset in range(20_000):
        fold(profile, seen(View, offset), offset)
    event = seen(View, 20_000)
    fold(profile, event, 20_000)
    values = dict(zip(FEATURES, touch_vector(view(profile, profile.last_ms), profile, event), strict=True))
    assert values["views_1h"] == values["session_events"] == values["item_views"] == 15
    assert values["activity"] == 4


@pytest.mark.parametrize(("count", "bucket"), [(1, 1), (2, 2), (3, 2), (4, 3), (7, 3), (8, 4)])
def test_counts_are_put_into_octaves(count: int, bucket: int) -> None:
    values = vector_of(*(seen(View, n) for n in range(count)))
    assert values["views_1h"] == values["session_events"] == bucket


@pytest.mark.parametrize(("views", "level"), [(1, 1), (4, 1), (5, 2), (19, 2), (20, 3), (99, 3), (100, 4)])
def test_activity_rises_with_the_actions_of_30_days(views: int, level: int) -> None:
    assert vector_of(*(seen(View, n) for n in range(views)))["activity"] == level


def test_the_conversion_rate_starts_at_the_prior_and_moves_with_evidence() -> None:
    profile = Profile()
    assert view(profile, NOW_MS).conversion_rate == pytest.approx(PRIOR_CONVERSION_RATE)
    for offset in range(100):
        fold(profile, seen(View, offset * HOUR_MS), offset)
    assert view(profile, profile.last_ms).conversion_rate == pytest.approx(0.6 / (100 + PRIOR_STRENGTH))
    for offset in range(100):
        fold(profile, seen(Purchase, 100 * HOUR_MS + offset), 100 + offset)
    assert view(profile, profile.last_ms).conversion_rate == pytest.approx(100.6 / 120)
    for offset in range(100):
        fold(profile, seen(Purchase, 101 * HOUR_MS + offset), 200 + offset)
    assert view(profile, profile.last_ms).conversion_rate <= 1.0


def test_an_idle_user_has_no_session() -> None:
    profile = Profile()
    fold(profile, seen(AddToCart, 0), 0)
    assert view(profile, NOW_MS + 30 * MINUTE_MS).session_events == 1
    later = view(profile, NOW_MS + 30 * MINUTE_MS + 1)
    assert (later.session_events, later.session_carts, later.session_ms, later.depth) == (0, 0, 0, 0)
    assert later.visits == 1


def test_shares_of_channels_sum_to_one() -> None:
    profile = Profile()
    for offset, channel in enumerate(["web", "web", "ios", "store"]):
        fold(profile, seen(View, offset, channel=channel), offset)
    features = view(profile, profile.last_ms)
    assert [features.channel_share(n) for n in range(len(CHANNELS))] == [0.5, 0.25, 0.0, 0.0, 0.25]
    assert view(Profile(), NOW_MS).channel_share(0) == 0.0


def test_a_vector_survives_packing() -> None:
    vector: Vector = tuple(vector_of(seen(View, 0, category="a.b")).values())
    assert unpack(pack(vector)) == vector
    assert isinstance(unpack(pack(vector)), tuple)
