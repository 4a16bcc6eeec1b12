"""The conversion model: logistic regression over hashed features, learning one example at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from river import linear_model, optim

from models.conversion.encoding import FeatureSpec, Value, shared_encoder
from models.conversion.optimizer import Ftrl
from models.conversion.scorer import ConversionScorer, logit

MAX_WEIGHT = 1_000.0
"""No example counts for more than this many: a single absurd weight would otherwise own the model."""


class BadExample(ValueError):
    """An example that must not be learned. The model is as it was."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """How the model learns. Defaults: the best of a sweep on the simulated shop (base rate 3 %, labels after 7 days).

    `base_rate`: probability before anything is learned, in (0, 1).
    `alpha`, `beta` (> 0), `l1`, `l2` (>= 0): of FTRL-Proximal. A weight stays zero until its gradients sum to more than
    `l1`: at 0.3 one purchase gives an item a weight at once, while at a base rate of 3 % it takes ten touches without
    one. So most of the rare ids never get a weight, and scorers stay small. `alpha` goes with the number of features
    active at once (about 40), which all take the same step: 0.2 loses a sixth of what 0.1 gains on a constant.
    `intercept_rate` (>= 0): the intercept's first learning rate, which falls as 1 / sqrt(examples) like FTRL's own. A
    constant one would keep the mean prediction wandering: by sqrt(rate / 2) in log-odds, 7 % at River's 0.01.
    """

    base_rate: float = 0.03
    alpha: float = 0.1
    beta: float = 1.0
    l1: float = 0.3
    l2: float = 1.0
    intercept_rate: float = 0.1

    def __post_init__(self) -> None:
        logit(self.base_rate)
        if not (0.0 < self.alpha < 1e6 and 0.0 < self.beta < 1e6):
            raise ValueError(f"alpha {self.alpha} and beta {self.beta} must be positive numbers")
        if not all(0.0 <= value < 1e6 for value in (self.l1, self.l2, self.intercept_rate)):
            raise ValueError(
                f"l1 {self.l1}, l2 {self.l2} and intercept_rate {self.intercept_rate} must not be negative"
            )


class ConversionModel:
    """Learns from outcomes and predicts their probability.

    Memory is bounded by the hash space, not by the number of ids: FTRL keeps its state for every place that ever had a
    gradient, also where the weight is still zero, because future learning depends on it. Measured, with all of 2**18
    places in use: 65 MB in memory, 7.3 MB stored.
    """

    def __init__(self, spec: FeatureSpec, hyperparameters: Hyperparameters | None = None) -> None:
        self.spec = spec
        self.hyperparameters = given = hyperparameters or Hyperparameters()
        self.examples = 0
        self.regression = linear_model.LogisticRegression(
            optimizer=Ftrl(alpha=given.alpha, beta=given.beta, l1=given.l1, l2=given.l2),
            intercept_init=logit(given.base_rate),
            intercept_lr=optim.schedulers.InverseScaling(given.intercept_rate, power=0.5),
        )
        self._encoder = shared_encoder(spec)

    def learn(self, values: Sequence[Value], label: Literal[0, 1], weight: float = 1.0) -> None:
        """One step on one example, which counts `weight` times, 0 to `MAX_WEIGHT`; weight 0 changes `examples` only.

        Raises `BadExample` for another label or weight, NaN included, and as `Encoder.indices` does.
        """
        if label not in (0, 1):
            raise BadExample(f"label is {label!r}: it must be 0 or 1")
        if not (isfinite(weight) and 0.0 <= weight <= MAX_WEIGHT):
            raise BadExample(f"weight is {weight!r}: it must be a number from 0 to {MAX_WEIGHT:g}")
        active = self._active(values)
        if weight > 0.0:
            self.regression.learn_one(active, label, weight)
        self.examples += 1

    def predict(self, values: Sequence[Value]) -> float:
        """Probability in [0, 1] by River itself: for tests and for the learner's own monitoring. Serve with
        `scorer()`."""
        return float(self.regression.predict_proba_one(self._active(values))[True])

    def scorer(self) -> ConversionScorer:
        """The present weights for the serving side. Later learning does not reach it."""
        return ConversionScorer(self.spec, self.regression.weights, self.regression.intercept, self.examples)

    def _active(self, values: Sequence[Value]) -> dict[int, float]:
        """Features that share a place in one example add up, so that contributions stay one per feature."""
        indices = self._encoder.indices(values)
        active = dict.fromkeys(indices, 1.0)
        if len(active) < len(indices):
            return {index: float(count) for index, count in Counter(indices).items()}
        return active
