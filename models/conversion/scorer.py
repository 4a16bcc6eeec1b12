"""The serving side of the conversion model: weights that never change, one pass per prediction, no River."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.conversion import layout
from models.conversion.encoding import FeatureSpec, Value, shared_encoder

Factor = tuple[str, float]
"""A feature's name and what it added to the log-odds."""

_LARGEST_LOGIT = 30.0
"""River rounds to 0 or 1 beyond it; a prediction is never certain, and differs from River's by less than 1e-13."""


class ConversionScorer:
    """Probabilities from one version of the weights.

    Immutable: learning goes on in another object. Its prediction equals River's `predict_proba_one` of the model it was
    taken from within 1e-12 (the sum is the same, a rounding may differ).
    """

    __slots__ = ("_encoder", "_intercept", "_names", "_positions", "_weight_at", "examples", "size")

    def __init__(self, spec: FeatureSpec, weights: Mapping[int, float], intercept: float, examples: int) -> None:
        """`weights`: log-odds by index, zeros may be left out. `examples`: how many the weights were learned from.

        `size` then counts the weights that are not zero.
        """
        self.examples = examples
        self._encoder = shared_encoder(spec)
        self._intercept = intercept
        self._names = spec.features
        # Positions in the order of names: a stable sort by size then breaks ties by name.
        self._positions = sorted(range(len(self._names)), key=self._names.__getitem__)
        # A list over the whole space, 2 MB at 18 bits, takes half the time of a dict of what is not zero.
        table = [0.0] * (1 << spec.bits)
        for index, weight in weights.items():
            table[index] = weight
        self._weight_at = table.__getitem__
        self.size = len(weights) - list(weights.values()).count(0.0)

    @classmethod
    def from_prior(cls, spec: FeatureSpec, base_rate: float) -> ConversionScorer:
        """What to serve before anything was learned: the base rate, in (0, 1), for every touch."""
        return cls(spec, {}, logit(base_rate), 0)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], spec: FeatureSpec) -> ConversionScorer:
        """The scorer of a stored model. Raises `BrokenSnapshot` unless the tensors are a model over `spec`."""
        layout.check(tensors, spec)
        learned = np.flatnonzero(tensors["w"])
        weights = dict(zip(tensors["indices"][learned].tolist(), tensors["w"][learned].tolist(), strict=True))
        return cls(spec, weights, float(tensors["intercept"][0]), int(tensors["counters"][0]))

    @property
    def spec(self) -> FeatureSpec:
        return self._encoder.spec

    @property
    def intercept(self) -> float:
        """Log-odds of a touch of which no feature has a weight."""
        return self._intercept

    def predict(self, values: Sequence[Value]) -> float:
        """Probability in (0, 1). Raises as `Encoder.indices` does."""
        return _probability(sum(map(self._weight_at, self._encoder.indices(values))) + self._intercept)

    def explain(self, values: Sequence[Value], top: int = 3) -> list[Factor]:
        """The `top` features that moved the log-odds most, largest first, equal ones by name; features without weight
        never.

        All of them and the intercept sum to the logit of the prediction.
        """
        return self.predict_explained(values, top)[1]

    def predict_explained(self, values: Sequence[Value], top: int = 3) -> tuple[float, list[Factor]]:
        """`predict` and `explain` for the price of little more than one."""
        added = list(map(self._weight_at, self._encoder.indices(values)))
        probability = _probability(sum(added) + self._intercept)
        ranked = sorted(self._positions, key=list(map(abs, added)).__getitem__, reverse=True)[:top]
        return probability, [(self._names[i], added[i]) for i in ranked if added[i] != 0.0]


def logit(probability: float) -> float:
    """Log-odds. Raises `ValueError` unless the probability lies in (0, 1)."""
    if not 0.0 < probability < 1.0:
        raise ValueError(f"{probability} has no log-odds: give a probability between 0 and 1, both excluded")
    return log(probability / (1.0 - probability))


def _probability(log_odds: float) -> float:
    if not -_LARGEST_LOGIT < log_odds < _LARGEST_LOGIT:
        log_odds = _LARGEST_LOGIT if log_odds > 0.0 else -_LARGEST_LOGIT
    return 1.0 / (1.0 + exp(-log_odds))
