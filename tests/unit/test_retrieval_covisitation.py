from __future__ import annotations

import math

import numpy as np
import pytest

from models.retrieval.covisitation import DAY_MS, CoVisitation, GraphSettings

T = 1_700_000_000_000
SMALL = GraphSettings(max_row=3, max_items=60, window=4)


def visit(graph: CoVisitation, *session: str, at_ms: int = T) -> None:
    for place, item in enumerate(session):
        graph.learn(session[:place], item, at_ms)


def test_an_edge_weighs_less_the_further_apart_and_backward_three_quarters() -> None:
    graph = CoVisitation()
    visit(graph, "a", "b", "c")
    assert graph.edge("a", "b") == pytest.approx(1.0)
    assert graph.edge("b", "a") == pytest.approx(0.75)
    assert graph.edge("a", "c") == pytest.approx(math.exp(-1 / 1.5))
    assert graph.edge("c", "a") == pytest.approx(0.75 * math.exp(-1 / 1.5))


def test_items_further_apart_than_the_window_get_no_edge() -> None:
    graph = CoVisitation(GraphSettings(window=2))
    visit(graph, "a", "b", "c", "d")
    assert graph.edge("b", "d") > 0
    assert graph.edge("a", "d") == 0


def test_an_item_seen_twice_in_a_session_gets_no_edge_to_itself() -> None:
    graph = CoVisitation()
    visit(graph, "a", "b", "a", "a")
    assert graph.edge("a", "a") == 0
    assert graph.edge("a", "b") > 0


def test_with_self_edges_an_item_that_comes_again_leads_to_itself() -> None:
    graph = CoVisitation(GraphSettings(self_edges=True))
    visit(graph, "a", "a")
    assert graph.edge("a", "a") == pytest.approx(1.0)


def test_an_old_edge_loses_against_a_newer_one() -> None:
    graph = CoVisitation(GraphSettings(half_life_ms=DAY_MS))
    visit(graph, "a", "old", at_ms=T)
    visit(graph, "a", "old", at_ms=T)
    visit(graph, "a", "new", at_ms=T + 3 * DAY_MS)
    assert graph.edge("a", "old") == pytest.approx(2 / 8)
    assert graph.edge("a", "new") == pytest.approx(1.0)


def test_a_late_step_weighs_what_it_would_have_weighed_in_time() -> None:
    graph = CoVisitation(GraphSettings(half_life_ms=DAY_MS))
    visit(graph, "x", "y", at_ms=T + 2 * DAY_MS)
    visit(graph, "a", "b", at_ms=T)
    assert graph.edge("a", "b") == pytest.approx(0.25)


def test_a_step_from_before_all_memory_leaves_the_graph_as_it_was() -> None:
    graph = CoVisitation(GraphSettings(half_life_ms=1))
    visit(graph, "a", "b", at_ms=10_000)
    before = graph.to_tensors()
    visit(graph, "c", "d", at_ms=1)
    assert_same(before, graph.to_tensors())


def test_a_jump_of_thousands_of_half_lives_forgets_instead_of_overflowing() -> None:
    graph = CoVisitation(GraphSettings(half_life_ms=1))
    visit(graph, "a", "b", at_ms=0)
    visit(graph, "c", "d", at_ms=1_000_000)
    assert graph.edge("a", "b") == 0
    assert graph.edge("c", "d") == pytest.approx(1.0)
    assert graph.to_tensors()["counts"] == pytest.approx([0.0, 0.0, 1.0, 1.0])


def test_a_row_is_pruned_to_its_strongest_edges_when_twice_as_long() -> None:
    graph = CoVisitation(SMALL)
    for leaf in ["strong"] * 3 + [f"leaf{n}" for n in range(6)]:
        visit(graph, "hub", leaf)
    assert graph.pruned_edges == 4
    assert graph.edge("hub", "strong") == pytest.approx(3.0)
    assert sum(graph.edge("hub", f"leaf{n}") > 0 for n in range(6)) == 2


def test_beyond_its_bound_the_graph_forgets_the_rarest_items_and_counts_them() -> None:
    graph = CoVisitation(SMALL)
    for _ in range(5):
        visit(graph, "kept", "too")
    for n in range(500):
        visit(graph, f"once{n}", "kept")
        assert len(graph) <= SMALL.max_items
    assert graph.evicted_items > 400
    assert graph.edge("kept", "too") > 0
    assert graph.edge("once0", "kept") == 0


def test_a_slot_used_again_inherits_nothing_from_the_item_evicted_from_it() -> None:
    graph = CoVisitation(SMALL)
    visit(graph, "first", "kept")
    for n in range(500):
        visit(graph, "kept", f"filler{n}")
    graph.learn([], "latecomer", T)
    tensors = graph.to_tensors()
    starts, n = tensors["rows"], len(graph)
    assert starts[n] == starts[n - 1], "the newest item has no edges yet"
    assert np.count_nonzero(tensors["edge.target"] == n - 1) == 0
    assert tensors["counts"][n - 1] * 2.0 ** -((T - tensors["clock"][1]) / tensors["clock"][0]) == pytest.approx(1.0)


def test_a_round_trip_keeps_every_bit() -> None:
    graph = CoVisitation(SMALL)
    for n in range(300):
        visit(graph, f"i{n % 70}", f"ü{n % 11}", f"i{n % 5}", at_ms=T + n * DAY_MS)
    again = CoVisitation.from_tensors(graph.to_tensors(), SMALL)
    assert_same(graph.to_tensors(), again.to_tensors())
    assert (again.evicted_items, again.pruned_edges) == (graph.evicted_items, graph.pruned_edges)


def test_an_empty_graph_makes_a_round_trip() -> None:
    again = CoVisitation.from_tensors(CoVisitation().to_tensors())
    visit(again, "a", "b")
    assert again.edge("a", "b") == pytest.approx(1.0)


def test_tensors_are_plain_numbers() -> None:
    graph = CoVisitation()
    visit(graph, "a", "b")
    assert {str(tensor.dtype) for tensor in graph.to_tensors().values()} == {"uint8", "int32", "int64", "float64"}


def test_another_half_life_is_refused_with_both_values() -> None:
    tensors = CoVisitation(GraphSettings(half_life_ms=1_000)).to_tensors()
    with pytest.raises(ValueError, match=r"1000 ms.*2000 ms"):
        CoVisitation.from_tensors(tensors, GraphSettings(half_life_ms=2_000))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("edge.target", np.array([7, 7], dtype=np.int32)),
        ("edge.target", np.array([-1, 0], dtype=np.int32)),
        ("edge.weight", np.array([1.0, np.nan])),
        ("edge.weight", np.array([1.0, -1.0])),
        ("edge.weight", np.array([1.0])),
        ("counts", np.array([1.0])),
        ("rows", np.array([0, 2, 1, 2], dtype=np.int64)),
        ("rows", np.array([0, 2], dtype=np.int64)),
        ("items.offsets", np.array([0, 1], dtype=np.int64)),
        ("items.blob", np.array([255, 255], dtype=np.uint8)),
        ("items.blob", np.array([97, 97], dtype=np.uint8)),
        ("totals", np.array([1], dtype=np.int64)),
        ("clock", np.array([1], dtype=np.int64)),
    ],
)
def test_damaged_tensors_are_refused_by_name(name: str, value: np.ndarray) -> None:
    graph = CoVisitation()
    visit(graph, "a", "b")
    tensors = graph.to_tensors() | {name: value}
    with pytest.raises(ValueError, match=r"items|rows|edge|counts|totals|clock"):
        CoVisitation.from_tensors(tensors)


def test_a_missing_tensor_is_named() -> None:
    tensors = CoVisitation().to_tensors()
    del tensors["counts"]
    with pytest.raises(ValueError, match="counts is missing"):
        CoVisitation.from_tensors(tensors)


def test_settings_that_leave_no_room_for_a_step_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 44"):
        GraphSettings(max_items=20)


def assert_same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)
