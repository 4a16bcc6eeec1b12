from __future__ import annotations

import math

import pytest

from models.evaluation.ranking import coverage, hit_rate, mrr, ndcg, rank_of

RANKS = [1, 2, None, 5]


def test_the_rank_is_the_place_from_one_or_none() -> None:
    assert rank_of("b", ["a", "b"]) == 2
    assert rank_of("c", ["a", "b"]) is None


def test_hit_rate_counts_cases_within_k() -> None:
    assert hit_rate(RANKS, 1) == 0.25
    assert hit_rate(RANKS, 2) == 0.5
    assert hit_rate(RANKS, 20) == 0.75


def test_mrr_is_the_mean_of_inverse_ranks_within_k() -> None:
    assert mrr(RANKS, 20) == pytest.approx((1 + 1 / 2 + 1 / 5) / 4)
    assert mrr(RANKS, 2) == pytest.approx((1 + 1 / 2) / 4)


def test_ndcg_discounts_by_the_logarithm_of_the_place() -> None:
    assert ndcg(RANKS, 20) == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(6)) / 4)
    assert ndcg([1, 1], 1) == 1.0


def test_coverage_is_the_share_of_items_shown_within_k() -> None:
    assert coverage([["a", "b", "c"], ["b", "d"]], items=8, k=2) == 3 / 8


def test_no_cases_score_zero() -> None:
    assert (hit_rate([], 5), mrr([], 5), ndcg([], 5), coverage([], 10, 5)) == (0, 0, 0, 0)


def test_impossible_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        hit_rate(RANKS, 0)
    with pytest.raises(ValueError, match="count from 1"):
        mrr([0], 5)
    with pytest.raises(ValueError, match="all items"):
        coverage([["a", "b"]], items=1, k=5)
