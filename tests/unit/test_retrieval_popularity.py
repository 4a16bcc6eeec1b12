from __future__ import annotations

import numpy as np
import pytest

from models.retrieval.popularity import Popularity, PopularityIndex, PopularitySettings

DAY_MS = 86_400_000
T = 1_700_000_000_000


def test_a_count_halves_every_half_life() -> None:
    popularity = Popularity()
    popularity.learn("a", "shoes", T)
    popularity.learn("a", "shoes", T)
    popularity.learn("b", None, T + DAY_MS)
    assert popularity.count("a") == pytest.approx(1.0)
    assert popularity.count("a", "shoes") == pytest.approx(1.0)
    assert popularity.count("b") == pytest.approx(1.0)
    assert popularity.count("b", "shoes") == 0.0
    assert popularity.count("a", "never heard of") == 0.0


def test_rankings_are_by_count_then_id_with_shares_of_all() -> None:
    popularity = Popularity()
    for item, category in [("z", "x"), ("b", "x"), ("a", "y"), ("z", "x")]:
        popularity.learn(item, category, T)
    index = PopularityIndex.from_tensors(popularity.to_tensors())
    assert list(index.overall.items) == ["z", "a", "b"]
    assert index.overall.shares == pytest.approx({"z": 0.5, "a": 0.25, "b": 0.25})
    assert list(index.category("x").items) == ["z", "b"]
    assert list(index.category("never heard of").items) == []


def test_tables_stay_within_twice_their_bounds() -> None:
    settings = PopularitySettings(max_items=5, max_categories=3, max_items_per_category=2)
    popularity = Popularity(settings)
    for n in range(200):
        popularity.learn("top", "first", T)
        popularity.learn(f"i{n}", "first", T)
        popularity.learn(f"i{n}", f"c{n}", T)
    tensors = popularity.to_tensors()
    lengths = np.diff(tensors["rows"])
    assert lengths[0] <= 10
    assert lengths[1:].max() <= 4
    assert len(lengths) - 1 <= 6
    assert popularity.count("top") == pytest.approx(200.0), "the strongest loses nothing"
    assert popularity.count("top", "first") == pytest.approx(200.0)


def test_what_was_popular_long_ago_is_forgotten_with_its_category() -> None:
    popularity = Popularity()
    popularity.learn("old", "gone", T)
    popularity.learn("new", "here", T + 200 * DAY_MS)
    index = PopularityIndex.from_tensors(popularity.to_tensors())
    assert list(index.overall.items) == ["new"]
    assert list(index.category("gone").items) == []


def test_a_round_trip_keeps_every_bit_and_so_does_learning_on() -> None:
    settings = PopularitySettings(max_items=20, max_categories=4, max_items_per_category=5)
    one = Popularity(settings)
    for n in range(300):
        one.learn(f"i{n % 37}", f"c{n % 9}" if n % 4 else None, T + n * DAY_MS // 10)
    other = Popularity.from_tensors(one.to_tensors(), settings)
    for n in range(300):
        for popularity in (one, other):
            popularity.learn(f"i{n % 41}", f"c{n % 11}", T + (300 + n) * DAY_MS // 2)
    left, right = one.to_tensors(), other.to_tensors()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", np.array([0, 2], dtype=np.int64)),
        ("counts", np.array([1.0])),
        ("categories.offsets", np.array([5], dtype=np.int64)),
        ("clock", np.array([DAY_MS + 1, 0, 0], dtype=np.int64)),
    ],
)
def test_damaged_tensors_are_refused_by_name(name: str, value: np.ndarray) -> None:
    popularity = Popularity()
    popularity.learn("a", "x", T)
    with pytest.raises(ValueError, match=r"rows|counts|categories|half-life"):
        Popularity.from_tensors(popularity.to_tensors() | {name: value})
