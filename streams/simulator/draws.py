"""Random draws that give the same bytes on every machine and Python.

Only `random.Random.random` is used, whose sequence Python guarantees, and only sums, products and comparisons on it:
`log` and `exp` may differ in the last bit between platforms, and `sum` of floats does between Python 3.11 and 3.12.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from random import Random

Uniform = Callable[[], float]
"""Draws from [0, 1)."""


def uniform(seed: int, name: str) -> Uniform:
    """An own stream of draws for each concept, so that changing how one draws does not change the others."""
    return Random(f"{seed}:{name}").random


class Quantiles:
    """A distribution by its quantile function: linear between the points (share, value).

    `points` rise in both coordinates, the shares from 0 to 1. Calling it with u in [0, 1) gives the value below which
    the share u of the distribution lies.
    """

    __slots__ = ("_shares", "_slopes", "_values")

    def __init__(self, *points: tuple[float, float]) -> None:
        shares = [share for share, _ in points]
        values = [float(value) for _, value in points]
        if shares[0] != 0 or shares[-1] != 1 or sorted(set(shares)) != shares or sorted(values) != values:
            raise ValueError(f"quantile points must rise from share 0 to share 1: {points}")
        self._shares = shares
        self._values = values
        self._slopes = [(values[i + 1] - values[i]) / (shares[i + 1] - shares[i]) for i in range(len(points) - 1)]

    def __call__(self, u: float) -> float:
        i = bisect_right(self._shares, u) - 1
        return self._values[i] + (u - self._shares[i]) * self._slopes[i]

    def mean(self) -> float:
        """Expected value."""
        total = 0.0
        for i in range(len(self._slopes)):
            total += (self._shares[i + 1] - self._shares[i]) * (self._values[i] + self._values[i + 1]) / 2
        return total


class Weighted:
    """Index 0..n-1 drawn in proportion to positive weights."""

    __slots__ = ("_cumulative", "_last", "_total")

    def __init__(self, weights: Iterable[float]) -> None:
        self._cumulative = list(accumulate(weights))
        self._total = self._cumulative[-1]
        self._last = len(self._cumulative) - 1

    def __call__(self, u: float) -> int:
        return min(bisect_right(self._cumulative, u * self._total), self._last)


EXPONENTIAL = Quantiles(
    (0.0, 0.0), (0.1, 0.10536), (0.2, 0.22314), (0.3, 0.35667), (0.4, 0.51083), (0.5, 0.69315), (0.6, 0.91629),
    (0.7, 1.20397), (0.8, 1.60944), (0.9, 2.30259), (0.95, 2.99573), (0.99, 4.60517), (0.999, 6.90776), (1.0, 10.0),
)  # fmt: skip
"""Waiting times of mean 1, by table."""


def bell(uniform: Uniform) -> float:
    """About a standard normal draw: the sum of twelve uniform ones, centred."""
    total = -6.0
    for _ in range(12):
        total += uniform()
    return total


def shuffled(count: int, uniform: Uniform) -> list[int]:
    """0..count-1 in random order (Fisher-Yates)."""
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        j = int(uniform() * (i + 1))
        order[i], order[j] = order[j], order[i]
    return order
