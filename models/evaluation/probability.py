"""How good predicted probabilities are. Labels `y` are 0 or 1, predictions `p` lie in [0, 1], both of shape (n,)."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALLEST = 1e-15
"""Predictions of 0 and 1 are scored as if they were this far away: one certain error would cost infinitely much."""


def log_loss(p: ArrayLike, y: ArrayLike) -> float:
    """Mean negative log-likelihood in nats: 0 is perfect, ln 2 is a coin, at most 34.6 (see `SMALLEST`).

    A proper scoring rule (Good, 1952). Raises `ValueError` for no or bad pairs.
    """
    predicted, label = _pairs(p, y)
    likely = np.clip(np.where(label == 1.0, predicted, 1.0 - predicted), SMALLEST, 1.0)
    return float(-np.log(likely).mean())


@dataclass(slots=True)
class LogLoss:
    """`log_loss` of the pairs so far, one at a time."""

    count: int = 0
    total: float = 0.0

    def add(self, p: float, y: int) -> None:
        """Raises `ValueError` unless `p` lies in [0, 1] and `y` is 0 or 1."""
        if not 0.0 <= p <= 1.0 or y not in (0, 1):
            raise ValueError(f"prediction {p!r}, label {y!r}: give a probability and 0 or 1")
        self.count += 1
        self.total -= log(max(p if y else 1.0 - p, SMALLEST))

    @property
    def value(self) -> float | None:
        """Mean so far; none before the first pair."""
        return self.total / self.count if self.count else None


def auc(p: ArrayLike, y: ArrayLike) -> float | None:
    """Probability that a random positive is scored above a random negative, a tie counting half: 0.5 is chance, 1 is
    perfect.

    The Mann-Whitney statistic (Hanley and McNeil, 1982). None if one of the classes is absent. Raises `ValueError` for
    no or bad pairs.
    """
    predicted, label = _pairs(p, y)
    positives = int(label.sum())
    negatives = len(label) - positives
    if not positives or not negatives:
        return None
    _, group, size = np.unique(predicted, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(size) - (size - 1) / 2.0  # ranks from 1, equal predictions share theirs
    above = float(mean_rank[group][label == 1.0].sum()) - positives * (positives + 1) / 2.0
    return above / (positives * negatives)


def pcoc(p: ArrayLike, y: ArrayLike) -> float | None:
    """Predicted over observed conversions, mean(p) / mean(y): 1 is right in total, above 1 promises too much.

    None if nothing converted. "Predicted click over click", as in Deng et al., "Calibrating User Response Predictions
    in Online Advertising" (ECML PKDD 2020). Raises `ValueError` for no or bad pairs.
    """
    predicted, label = _pairs(p, y)
    observed = float(label.mean())
    return float(predicted.mean()) / observed if observed else None


def ece(p: ArrayLike, y: ArrayLike, bins: int = 10) -> float:
    """Expected calibration error in [0, 1]: |mean(p) - mean(y)| per bin, weighted by the bin's size. 0 is perfect.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), but with bins of about equal size (Nixon et al.,
    "Measuring Calibration in Deep Learning", 2019): at base rates of a few per cent bins of equal width would put
    everything into the first one. Equal predictions stay in one bin. Raises `ValueError` for no or bad pairs, or `bins`
    < 1.
    """
    if bins < 1:
        raise ValueError(f"bins is {bins}: use at least 1")
    predicted, label = _pairs(p, y)
    _, group, size = np.unique(predicted, return_inverse=True, return_counts=True)
    first = np.cumsum(size) - size
    chosen = (first * bins // len(predicted))[group]
    surplus = np.bincount(chosen, weights=predicted - label, minlength=bins)
    return float(np.abs(surplus).sum() / len(predicted))


def _pairs(p: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    predicted, label = np.asarray(p, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if predicted.ndim != 1 or predicted.shape != label.shape or not len(predicted):
        raise ValueError(
            f"predictions of shape {predicted.shape}, labels of shape {label.shape}: give one of each per example"
        )
    if not ((predicted >= 0.0) & (predicted <= 1.0)).all():
        raise ValueError("a prediction is NaN or outside [0, 1]")
    if not ((label == 0.0) | (label == 1.0)).all():
        raise ValueError("a label is neither 0 nor 1")
    return predicted, label
