"""What holds of every stream of sessions and every request."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.interfaces import RecommendRequest
from models.retrieval.covisitation import CoVisitation, GraphSettings
from models.retrieval.popularity import PopularitySettings
from models.retrieval.recommender import RetrievalLearner

HALF_LIFE_MS = 1_000
BOUNDED = GraphSettings(half_life_ms=HALF_LIFE_MS, window=2, max_row=2, max_items=12)
UNBOUNDED = GraphSettings(half_life_ms=HALF_LIFE_MS)
FEW = PopularitySettings(half_life_ms=HALF_LIFE_MS, max_items=4, max_categories=2, max_items_per_category=2)

items = st.sampled_from([f"i{n}" for n in range(25)])
categories = st.none() | st.sampled_from("uvwxyz")
times = st.integers(0, 200 * HALF_LIFE_MS)
steps = st.tuples(st.lists(items, max_size=5), items, categories, times)
Step = tuple[list[str], str, str | None, int]


def learned(history: list[Step]) -> RetrievalLearner:
    learner = RetrievalLearner(BOUNDED, FEW)
    for step in history:
        learner.learn(*step)
    return learner


@given(st.lists(steps, max_size=60), st.lists(steps, max_size=60))
def test_learning_on_after_a_round_trip_gives_equal_tensors(before: list[Step], after: list[Step]) -> None:
    one = learned(before)
    other = RetrievalLearner.from_tensors(one.to_tensors(), BOUNDED, FEW)
    for step in after:
        one.learn(*step)
        other.learn(*step)
    left, right = one.to_tensors(), other.to_tensors()
    assert left.keys() == right.keys()
    for name in left:
        np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@given(st.lists(steps, max_size=100))
def test_memory_is_bounded(history: list[Step]) -> None:
    tensors = learned(history).to_tensors()
    assert len(tensors["graph.counts"]) <= BOUNDED.max_items
    assert np.diff(tensors["graph.rows"]).max(initial=0) <= 2 * BOUNDED.max_row
    assert np.all(np.diff(tensors["popularity.rows"])[:1] <= 2 * FEW.max_items)
    assert np.all(np.diff(tensors["popularity.rows"])[1:] <= 2 * FEW.max_items_per_category)
    assert len(tensors["popularity.rows"]) - 2 <= 2 * FEW.max_categories


@given(st.lists(steps, max_size=40))
def test_forward_decay_equals_decaying_every_weight_at_the_end(history: list[Step]) -> None:
    graph = CoVisitation(UNBOUNDED)
    latest = max((at_ms for *_, at_ms in history), default=0)
    naive: dict[tuple[str, str], float] = defaultdict(float)
    for prefix, item, _, at_ms in history:
        graph.learn(prefix, item, at_ms)
        decayed = 2.0 ** -((latest - at_ms) / HALF_LIFE_MS)
        for gap, earlier in enumerate(reversed(prefix)):
            if earlier != item:
                naive[earlier, item] += decayed * math.exp(-gap / 1.5)
                naive[item, earlier] += decayed * math.exp(-gap / 1.5) * 0.75
    for (source, target), weight in naive.items():
        # What is fifty half-lives old may have been dropped: 2 ** -50 is below the absolute tolerance.
        assert graph.edge(source, target) == pytest.approx(weight, rel=1e-9, abs=1e-12)


@given(st.lists(steps, max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_steps_does_not_matter_while_nothing_is_pruned(history: list[Step], random: object) -> None:
    shuffled = history.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    graphs = CoVisitation(UNBOUNDED), CoVisitation(UNBOUNDED)
    for graph, order in zip(graphs, (history, shuffled), strict=True):
        for prefix, item, _, at_ms in order:
            graph.learn(prefix, item, at_ms)
    names = {name for prefix, item, _, _ in history for name in (*prefix, item)}
    for source in names:
        for target in names:
            assert graphs[0].edge(source, target) == pytest.approx(graphs[1].edge(source, target), rel=1e-9, abs=1e-12)


requests = st.builds(
    RecommendRequest,
    session=st.lists(items, max_size=6),
    exclude=st.frozensets(items, max_size=12),
    interests=st.lists(st.tuples(st.sampled_from("uvwxyz!"), st.floats(0, 10)), max_size=7),
    sellable=st.frozensets(items, max_size=12).map(lambda gone: lambda item: item not in gone),
    new_items=st.lists(items | st.sampled_from([f"new{n}" for n in range(70)]), max_size=80),
    seed=st.integers(),
    k=st.integers(1, 30),
    personal=st.booleans(),
)


@settings(max_examples=200)
@given(st.lists(steps, max_size=60), requests)
def test_every_list_keeps_its_promises(history: list[Step], request: RecommendRequest) -> None:
    index = learned(history).index()
    places = index.recommend(request)
    ids = [place.item_id for place in places]
    assert len(ids) <= request.k
    assert len(ids) == len(set(ids))
    assert not set(ids) & request.exclude  # type: ignore[operator]
    assert all(map(request.sellable, ids))
    assert all(0.0 < place.propensity <= 1.0 for place in places)
    assert all(place.propensity == 1.0 for place in places[:-1])
    scores = [place.score for place in places]
    assert scores == sorted(scores, reverse=True)
    assert places == learned(history).index().recommend(request), "the same log and request give the same list"
    assert all(place.because in request.session for place in places if place.source == "walk")
    if not request.personal:
        assert all(place.source != "interest" for place in places)


@given(st.lists(steps, min_size=1, max_size=60), requests)
def test_a_list_is_short_only_where_popular_and_new_items_run_out(
    history: list[Step], request: RecommendRequest
) -> None:
    index = learned(history).index()
    ids = {place.item_id for place in index.recommend(request)}
    if len(ids) < request.k:
        known = {*index.popularity.overall.items, *request.new_items[:50]}
        assert all(item in ids for item in known - request.exclude if request.sellable(item))  # type: ignore[operator]


@given(st.lists(steps, max_size=60), requests)
def test_equal_scores_are_ordered_by_item_id(history: list[Step], request: RecommendRequest) -> None:
    places = learned(history).index().recommend(request)
    for one, other in itertools.pairwise(places):
        if one.score == other.score and other.source != "exploration":
            assert one.item_id < other.item_id
