from __future__ import annotations

import math

import numpy as np
import pytest

from models.retrieval.covisitation import CoVisitation
from models.retrieval.walk import WalkIndex, WalkSettings

T = 1_700_000_000_000


def index(*sessions: tuple[str, ...], settings: WalkSettings | None = None) -> WalkIndex:
    graph = CoVisitation()
    for session in sessions:
        for place, item in enumerate(session):
            graph.learn(session[:place], item, T)
    return WalkIndex.from_tensors(graph.to_tensors(), settings)


def scores(walk: WalkIndex, *session: str, boost: float = 1.0) -> dict[str, float]:
    nodes, values = walk.ranked(session, boost)
    return {walk.items[node]: score for node, score in zip(nodes.tolist(), values.tolist(), strict=True)}


def test_one_hop_is_the_recipe_worked_out_by_hand() -> None:
    walk = index(("a", "b"), ("a", "b"), ("a", "c"), settings=WalkSettings(hops=(1.0, 0.0, 0.0)))
    found = scores(walk, "a")
    row = 2.0 + 1.0 + 3.0  # both edges and the offset
    assert found["b"] == pytest.approx(2.0 / row * (2 + 5) ** -0.3)
    assert found["c"] == pytest.approx(1.0 / row * (1 + 5) ** -0.3)


def test_three_hops_are_the_recipe_worked_out_by_hand() -> None:
    walk = index(("a", "b"))
    there, back = 1.0 / (1.0 + 3.0), 0.75 / (0.75 + 3.0)
    h1 = there * 6**-0.3
    found = scores(walk, "a")
    assert found["b"] == pytest.approx(h1 + 2 * h1 * back * there)
    assert found["a"] == pytest.approx(4 * h1 * back)


def test_the_walk_finds_what_no_session_held_together() -> None:
    walk = index(("a", "b"), ("b", "c"), ("c", "d"), ("x", "y"))
    found = scores(walk, "a")
    assert {"c", "d"} <= found.keys(), "two and three hops away"
    assert not {"x", "y"} & found.keys()


def test_a_new_item_has_a_place_after_its_first_co_visit() -> None:
    before = index(("a", "b"))
    after = index(("a", "b"), ("a", "new"))
    assert "new" not in scores(before, "a")
    assert "new" in scores(after, "a")


def test_recent_items_of_the_session_count_more() -> None:
    walk = index(("a", "near a"), ("b", "near b"))
    assert scores(walk, "b", "a")["near a"] > scores(walk, "b", "a")["near b"]
    assert scores(walk, "a", "b")["near b"] > scores(walk, "a", "b")["near a"]


def test_an_item_visited_twice_starts_once_from_its_last_visit() -> None:
    walk = index(("a", "b"))
    starts = {walk.items[node]: weight for node, weight in walk.starts(["a", "b", "a"]).items()}
    assert starts == {"a": 1.0, "b": pytest.approx(math.exp(-1 / 1.5))}


def test_the_repeat_boost_multiplies_the_items_of_the_session_and_no_others() -> None:
    walk = index(("a", "b"), ("b", "c"))
    plain, boosted = scores(walk, "a", "b"), scores(walk, "a", "b", boost=15.0)
    assert boosted["a"] == pytest.approx(15 * plain["a"])
    assert boosted["b"] == pytest.approx(15 * plain["b"])
    assert boosted["c"] == pytest.approx(plain["c"])


def test_unknown_sessions_and_empty_graphs_lead_nowhere() -> None:
    assert scores(index(("a", "b")), "unknown") == {}
    assert scores(index(("a", "b"))) == {}
    assert scores(index(), "a") == {}
    assert scores(index(("a",)), "a") == {}, "an item without edges"


def test_equal_scores_are_ordered_by_item_id() -> None:
    walk = index(("a", "z"), ("a", "m"), ("a", "b"))
    assert list(scores(walk, "a"))[-3:] == ["b", "m", "z"]


def test_only_the_strongest_edges_of_a_row_are_walked() -> None:
    walk = index(("a", "b"), ("a", "b"), ("a", "c"), settings=WalkSettings(row=1))
    assert "c" not in scores(walk, "a")


def test_the_reason_is_the_item_of_the_session_that_leads_there() -> None:
    walk = index(("a", "near a"), ("b", "near b"), ("near a", "far"))
    assert walk.because(["a", "b"], ["near a", "near b"]) == ["a", "b"]
    assert walk.because(["a", "b"], ["far"]) == ["b"], "of later hops: the newest item of the session"
    assert walk.because(["unknown"], ["near a"]) == [""]
    assert walk.because(["a"], []) == []


def test_rows_and_counts_are_decayed_to_the_newest_step_before_constants_are_added() -> None:
    """Else the constants would mean something else the longer the learner has run."""
    young, old = CoVisitation(), CoVisitation()
    old.learn([], "long ago", T - 40 * old.settings.half_life_ms)
    for graph in (young, old):
        graph.learn([], "a", T)
        graph.learn(["a"], "b", T)
    walks = [WalkIndex.from_tensors(graph.to_tensors()) for graph in (young, old)]
    assert scores(walks[0], "a") == pytest.approx(scores(walks[1], "a"))


def test_damaged_tensors_are_refused() -> None:
    tensors = CoVisitation().to_tensors() | {"clock": np.zeros(0, dtype=np.int64)}
    with pytest.raises(ValueError, match="clock"):
        WalkIndex.from_tensors(tensors)
