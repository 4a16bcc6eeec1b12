"""Weights that halve every 14 days, in bounded memory."""

from __future__ import annotations

import pytest

from streams.features.interests import HALF_LIFE_MS, MAX_KEYS, Interests, add, share, strongest

NOW_MS = 1_767_571_200_000


def liked(interests: Interests, category: str, weight: float = 1.0, at_ms: int = NOW_MS) -> None:
    add(interests, weight, at_ms, category=category, brand=None, band=None)


def test_nothing_known_is_none_and_not_zero() -> None:
    assert share({}, "a") is None
    assert share({"a": 1.0}, None) is None
    assert share({"a": 1.0}, "b") == 0.0


def test_a_weight_halves_in_14_days() -> None:
    interests = Interests()
    liked(interests, "old", 2.0)
    liked(interests, "new", 1.0, NOW_MS + HALF_LIFE_MS)
    assert HALF_LIFE_MS == 14 * 86_400_000
    assert share(interests.categories, "old") == pytest.approx(0.5)


def test_the_lightest_leaves_when_there_are_too_many() -> None:
    interests = Interests()
    for number in range(MAX_KEYS + 1):
        liked(interests, f"c{number:02d}", 2.0 + number)
    liked(interests, "newcomer", 10.0)
    assert len(interests.categories) == MAX_KEYS == 12
    assert "c00" not in interests.categories
    assert "c01" not in interests.categories
    assert "newcomer" in interests.categories


def test_a_newcomer_lighter_than_all_leaves_at_once() -> None:
    interests = Interests()
    for number in range(MAX_KEYS):
        liked(interests, f"c{number}", 2.0)
    liked(interests, "light", 1.0)
    assert "light" not in interests.categories


def test_categories_brands_and_price_bands_are_kept_apart() -> None:
    interests = Interests()
    add(interests, 3.0, NOW_MS, category="c", brand="b", band=5)
    add(interests, 1.0, NOW_MS, category=None, brand="b2", band=0)
    assert share(interests.categories, "c") == 1.0
    assert share(interests.brands, "b") == 0.75
    assert share(interests.price_bands, 0) == 0.25


def test_the_strongest_come_first_and_equal_ones_by_name() -> None:
    interests = Interests()
    for name, weight in (("z", 1.0), ("a", 1.0), ("m", 2.0)):
        liked(interests, name, weight)
    assert strongest(interests.categories, 2) == [("m", 0.5), ("a", 0.25)]
    assert strongest(interests.categories, 9) == [("m", 0.5), ("a", 0.25), ("z", 0.25)]


def test_years_later_numbers_are_still_finite_and_the_old_is_forgotten() -> None:
    interests = Interests()
    for year in range(40):
        liked(interests, f"y{year % 5}", 6.0, NOW_MS + year * 365 * 86_400_000)
    assert all(0.0 < weight < 1e15 for weight in interests.categories.values())
    assert share(interests.categories, "y4") == pytest.approx(1.0, abs=1e-6)
