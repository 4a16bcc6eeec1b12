from __future__ import annotations

import itertools
from collections import Counter

import pytest

from models.interfaces import RecommendRequest
from models.retrieval.fusion import draw
from models.retrieval.recommender import RetrievalIndex, RetrievalLearner

T = 1_700_000_000_000
NEW = [f"new{n:02}" for n in range(60)]


def request(*session: str, **changes: object) -> RecommendRequest:
    fields: dict[str, object] = {
        "session": session,
        "exclude": frozenset(session),
        "interests": (),
        "sellable": lambda item: True,
        "new_items": (),
        "seed": 1,
    }
    return RecommendRequest(**(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def index() -> RetrievalIndex:
    learner = RetrievalLearner()
    for session in [("a", "b", "c")] * 3 + [("d", "e")] * 9:
        for place, item in enumerate(session):
            learner.learn(session[:place], item, "shoes" if item in "abc" else "hats", T)
    return learner.index()


def test_what_follows_the_session_comes_first_with_the_item_behind_it(index: RetrievalIndex) -> None:
    first, *_ = index.recommend(request("a"))
    assert (first.item_id, first.source, first.reason, first.because) == ("b", "walk", "also_viewed", "a")
    assert first.propensity == 1.0


def test_popular_items_fill_up_what_the_walk_leaves_open(index: RetrievalIndex) -> None:
    places = index.recommend(request("a"))
    assert [place.item_id for place in places] == ["b", "c", "d", "e"]
    assert [place.source for place in places] == ["walk", "walk", "popularity", "popularity"]
    assert [place.score for place in places] == sorted((place.score for place in places), reverse=True)


def test_an_interest_brings_the_popular_items_of_its_category(index: RetrievalIndex) -> None:
    places = index.recommend(request(interests=(("shoes", 2.0), ("unknown", 1.0))))
    assert [(place.reason, place.because) for place in places[:3]] == [("your_interest", "shoes")] * 3
    assert {place.item_id for place in places[:3]} == {"a", "b", "c"}


def test_equal_scores_are_ordered_by_item_id_whatever_the_order_of_interests() -> None:
    learner = RetrievalLearner()
    learner.learn([], "b", "hats", T)
    learner.learn([], "a", "shoes", T)
    places = learner.index().recommend(request(interests=(("hats", 1.0), ("shoes", 1.0))))
    assert [(place.item_id, place.because) for place in places] == [("a", "shoes"), ("b", "hats")]
    assert places[0].score == places[1].score


def test_without_consent_interests_are_not_used(index: RetrievalIndex) -> None:
    refused = index.recommend(request("a", interests=(("hats", 1.0),), personal=False))
    assert refused == index.recommend(request("a"))
    assert refused != index.recommend(request("a", interests=(("hats", 1.0),)))


def test_an_empty_index_recommends_new_items_else_nothing() -> None:
    index = RetrievalLearner().index()
    assert index.recommend(request("a")) == []
    places = index.recommend(request("a", new_items=NEW[:3]))
    assert [(place.item_id, place.reason, place.propensity) for place in places] == [
        (item, "new", 1.0) for item in NEW[:3]
    ]


def test_the_first_event_ever_makes_its_item_popular() -> None:
    learner = RetrievalLearner()
    learner.learn([], "a", None, T)
    (place,) = learner.index().recommend(request())
    assert (place.item_id, place.source, place.reason, place.because) == ("a", "popularity", "popular", "")


def test_the_last_place_explores_one_of_the_fifty_newest(index: RetrievalIndex) -> None:
    *firm, last = index.recommend(request("a", new_items=NEW, k=3))
    assert [place.item_id for place in firm] == ["b", "c"]
    assert last.item_id in NEW[:50]
    assert (last.source, last.reason, last.propensity) == ("exploration", "new", 1 / 50)


def test_the_explored_item_is_drawn_uniformly_as_its_propensity_says(index: RetrievalIndex) -> None:
    drawn = Counter(index.recommend(request("a", new_items=NEW[:4], k=3, seed=n))[-1].item_id for n in range(4000))
    assert set(drawn) == set(NEW[:4])
    assert all(abs(times - 1000) < 4 * 28 for times in drawn.values()), "4 standard deviations"


def test_a_single_place_goes_to_the_best_item_not_to_exploration(index: RetrievalIndex) -> None:
    (place,) = index.recommend(request("a", new_items=NEW, k=1))
    assert (place.item_id, place.propensity) == ("b", 1.0)


def test_without_new_items_the_last_place_goes_to_the_next_best(index: RetrievalIndex) -> None:
    assert [place.item_id for place in index.recommend(request("a", k=3))] == ["b", "c", "d"]


def test_a_new_item_already_in_the_list_is_not_drawn_again(index: RetrievalIndex) -> None:
    places = index.recommend(request("a", new_items=["b", "b", "fresh"], k=3))
    assert [place.item_id for place in places] == ["b", "c", "fresh"]
    assert places[-1].propensity == 1.0


def test_the_baseline_is_popularity_alone(index: RetrievalIndex) -> None:
    places = index.popular(2, exclude=["d"], sellable=lambda item: item != "e")
    assert [place.item_id for place in places] == ["a", "b"]
    assert {place.source for place in places} == {"popularity"}


def test_an_index_stays_as_it_was_when_the_learner_goes_on(index: RetrievalIndex) -> None:
    learner = RetrievalLearner()
    learner.learn([], "a", None, T)
    frozen = learner.index()
    before = frozen.recommend(request())
    learner.learn(["a"], "b", None, T)
    assert frozen.recommend(request()) == before


def test_no_places_are_refused(index: RetrievalIndex) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        index.recommend(request("a", k=0))
    with pytest.raises(ValueError, match="at least 1"):
        index.popular(0, (), lambda item: True)


def test_neighbouring_seeds_give_unrelated_draws_and_nothing_to_draw_from_is_refused() -> None:
    draws = [draw(seed, 10) for seed in range(1000)]
    assert set(draws) == set(range(10))
    assert sum(abs(a - b) == 1 for a, b in itertools.pairwise(draws)) < 300
    assert draw(-5, 7) == draw(-5, 7)
    with pytest.raises(ValueError, match="nothing to draw"):
        draw(1, 0)
