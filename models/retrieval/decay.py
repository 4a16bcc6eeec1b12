"""Exponential decay by event time without touching what is stored.

Forward decay (Cormode, Shkapenyuk, Srivastava and Xu, "Forward Decay", ICDE 2009): instead of shrinking old weights,
new ones grow by `2 ** ((t - landmark) / half_life)`; dividing by the growth at the time of asking gives the decayed
sum. The order of events doesn't matter, so a late event weighs what it would have weighed in time.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

MAX_EXPONENT = 60
"""Half-lives between landmark and an event after which the owner must rescale. Far from float64's 1023."""

NEGLIGIBLE = 2.0**-50
"""Weights below this after a rescale are dropped: fifty half-lives old, they can't change a sum of fresh ones."""


Key = TypeVar("Key")


class ForwardDecay:
    """The growth of increments, and the landmark that it is measured from.

    The landmark is always a multiple of the half-life, so a rescale multiplies by a power of two, which is exact.
    """

    __slots__ = ("half_life_ms", "landmark_ms", "latest_ms")

    def __init__(self, half_life_ms: int, landmark_ms: int = 0, latest_ms: int = 0) -> None:
        """Raises ValueError if `half_life_ms` isn't positive."""
        if half_life_ms <= 0:
            raise ValueError(f"half_life_ms is {half_life_ms}: give a positive number of milliseconds")
        self.half_life_ms = half_life_ms
        self.landmark_ms = landmark_ms
        self.latest_ms = latest_ms

    def advance(self, at_ms: int) -> int:
        """Note an event at `at_ms`; return by how many half-lives the landmark moved, 0 nearly always.

        When it is k > 0, the owner must multiply all it stores by 2 ** -k.
        """
        if at_ms <= self.latest_ms:
            return 0
        self.latest_ms = at_ms
        shift = (at_ms - self.landmark_ms) // self.half_life_ms
        if shift <= MAX_EXPONENT:
            return 0
        self.landmark_ms += shift * self.half_life_ms
        return shift

    def increment(self, at_ms: int) -> float:
        """Stored weight of one unit at `at_ms`: in (0, 2 ** 61), or 0 for an event too old to be told from nothing.

        Call `advance(at_ms)` before.
        """
        exponent = (at_ms - self.landmark_ms) / self.half_life_ms
        return math.exp2(exponent) if exponent > -MAX_EXPONENT else 0.0

    def to_latest(self) -> float:
        """Factor from stored weights to their decayed value at the latest event."""
        return math.exp2((self.landmark_ms - self.latest_ms) / self.half_life_ms)

    def to_tensor(self) -> NDArray[np.int64]:
        return np.array([self.half_life_ms, self.landmark_ms, self.latest_ms], dtype=np.int64)

    @classmethod
    def from_tensor(cls, clock: NDArray[np.int64], half_life_ms: int) -> ForwardDecay:
        """Raises ValueError if the tensor isn't a clock or was kept with another half-life."""
        if clock.shape != (3,):
            raise ValueError(f"clock has shape {clock.shape}, expected (3,): the snapshot is damaged")
        stored, landmark_ms, latest_ms = (int(value) for value in clock)
        if stored != half_life_ms:
            raise ValueError(
                f"the snapshot was kept with a half-life of {stored} ms, the settings say {half_life_ms} ms: "
                f"set it to {stored}, or start from an empty model"
            )
        return cls(half_life_ms, landmark_ms, latest_ms)


def rescaled(weights: dict[Key, float], shift: int) -> dict[Key, float]:
    """`weights` times 2 ** -shift, in the same order, without those that became negligible."""
    shrunk = ((key, math.ldexp(weight, -shift)) for key, weight in weights.items())
    return {key: weight for key, weight in shrunk if weight >= NEGLIGIBLE}
