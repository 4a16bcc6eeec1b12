"""FTRL-Proximal as published, inside River."""

from __future__ import annotations

from collections.abc import MutableMapping
from math import sqrt

from river import optim


class Ftrl(optim.FTRLProximal):  # type: ignore[misc]  # River is untyped here
    """River's optimizer with its step replaced by Algorithm 1 of McMahan et al., "Ad Click Prediction" (KDD 2013).

    River 0.26.1 computes a weight from `z` and `n` *before* it adds the example's gradient, so a weight lags one of its
    feature's examples behind (half of what is known of an item seen twice), and it leaves a weight as it was when `z`
    falls back within
    `l1`, where the paper sets it to zero. Here a weight is always the function of `z` and `n` that the paper states.
    It also costs half: the sign of a number needs no NumPy.
    """

    def _step_with_dict(
        self, w: MutableMapping[int, float], g: MutableMapping[int, float]
    ) -> MutableMapping[int, float]:
        alpha, beta, l1, l2, z, n = self.alpha, self.beta, self.l1, self.l2, self.z, self.n
        for i, gradient in g.items():
            squares = n[i]
            root = sqrt(squares + gradient * gradient)
            zi = z[i] + gradient - (root - sqrt(squares)) / alpha * w[i]
            z[i] = zi
            n[i] = squares + gradient * gradient
            if zi > l1:
                w[i] = (l1 - zi) / ((beta + root) / alpha + l2)
            elif zi < -l1:
                w[i] = -(l1 + zi) / ((beta + root) / alpha + l2)
            else:
                w[i] = 0.0
        return w
