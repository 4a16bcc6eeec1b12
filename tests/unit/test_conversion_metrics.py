"""Probability metrics against values worked out by hand."""

from __future__ import annotations

import math
import random

import pytest

from models.evaluation.probability import LogLoss, auc, ece, log_loss, pcoc


def test_log_loss_by_hand() -> None:
    assert log_loss([0.5, 0.5], [0, 1]) == pytest.approx(math.log(2))
    assert log_loss([0.9, 0.2], [1, 0]) == pytest.approx(-(math.log(0.9) + math.log(0.8)) / 2)


def test_a_certain_error_costs_much_but_not_infinitely_much() -> None:
    assert log_loss([0.0], [1]) == pytest.approx(-math.log(1e-15))
    assert log_loss([1.0, 0.0], [1, 0]) == 0.0


def test_running_log_loss_equals_that_of_all_pairs() -> None:
    draw = random.Random(1)
    pairs = [(draw.choice((0.0, 1.0, draw.random())), draw.randrange(2)) for _ in range(200)]
    running = LogLoss()
    assert running.value is None
    for p, y in pairs:
        running.add(p, y)
    assert running.count == 200
    assert running.value == pytest.approx(log_loss([p for p, _ in pairs], [y for _, y in pairs]), rel=1e-12)


def test_auc_by_hand() -> None:
    assert auc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) == 0.75
    assert auc([0.1, 0.2, 0.3], [0, 1, 1]) == 1.0
    assert auc([0.3, 0.2, 0.1], [0, 1, 1]) == 0.0


def test_ties_count_half_in_the_auc() -> None:
    assert auc([0.5, 0.5, 0.5], [0, 1, 1]) == 0.5
    assert auc([0.2, 0.5, 0.5, 0.9], [0, 0, 1, 1]) == 0.875


def test_auc_equals_the_count_over_all_pairs() -> None:
    draw = random.Random(2)
    p = [round(draw.random(), 1) for _ in range(150)]
    y = [draw.randrange(2) for _ in p]
    pairs = [(a, b) for a, i in zip(p, y, strict=True) if i for b, j in zip(p, y, strict=True) if not j]
    assert auc(p, y) == pytest.approx(sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs), rel=1e-12)


@pytest.mark.parametrize("labels", [[0, 0], [1, 1]])
def test_auc_of_one_class_is_undefined(labels: list[int]) -> None:
    assert auc([0.1, 0.2], labels) is None


def test_pcoc_by_hand() -> None:
    assert pcoc([0.2, 0.4], [0, 1]) == pytest.approx(0.6)
    assert pcoc([0.5, 1.0], [0, 1]) == pytest.approx(1.5)
    assert pcoc([0.2, 0.4], [0, 0]) is None


def test_ece_by_hand() -> None:
    p, y = [0.1, 0.2, 0.6, 0.8], [0, 1, 1, 1]
    assert ece(p, y, bins=1) == pytest.approx(abs(1.7 - 3) / 4)
    assert ece(p, y, bins=2) == pytest.approx((abs(0.3 - 1) + abs(1.4 - 2)) / 4)
    assert ece(p, y, bins=4) == pytest.approx((0.1 + 0.8 + 0.4 + 0.2) / 4)
    assert ece(p[::-1], y[::-1], bins=2) == pytest.approx(ece(p, y, bins=2))


def test_equal_predictions_stay_in_one_bin_of_the_ece() -> None:
    assert ece([0.25] * 8, [1, 1, 0, 0, 0, 0, 0, 0], bins=4) == 0.0


@pytest.mark.parametrize("metric", [log_loss, auc, pcoc, ece])
@pytest.mark.parametrize(
    ("p", "y"),
    [([], []), ([0.1], [0, 1]), ([1.1], [1]), ([-0.1], [1]), ([math.nan], [1]), ([0.5], [2]), ([0.5], [0.5])],
)
def test_pairs_that_are_none_are_refused(metric: object, p: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match=r"prediction|label"):
        metric(p, y)  # type: ignore[operator]


@pytest.mark.parametrize(("p", "y"), [(1.1, 1), (math.nan, 1), (0.5, 2)])
def test_a_pair_that_is_none_is_refused_by_the_running_log_loss(p: float, y: int) -> None:
    running = LogLoss()
    with pytest.raises(ValueError, match="prediction"):
        running.add(p, y)
    assert running.count == 0


def test_bins_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="bins is 0"):
        ece([0.5], [1], bins=0)
