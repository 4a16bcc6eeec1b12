"""Prequential quality: each prediction is tested on its label before the label is learned (Gama et al., 2013)."""

from __future__ import annotations

from math import log

HALF_LIFE = 2000.0
_LEAST = 1e-9


class Progressive:
    """Log loss and calibration over the newest few thousand examples, as means that fade by half every HALF_LIFE."""

    def __init__(self) -> None:
        self._keep = 0.5 ** (1.0 / HALF_LIFE)
        self._weight = self._loss = self._predicted = self._observed = 0.0

    def add(self, probability: float, label: int) -> None:
        """`probability` in [0, 1], `label` 0 or 1."""
        likelihood = max(probability if label else 1.0 - probability, _LEAST)
        self._weight = self._weight * self._keep + 1.0
        self._loss = self._loss * self._keep - log(likelihood)
        self._predicted = self._predicted * self._keep + probability
        self._observed = self._observed * self._keep + label

    def summary(self) -> dict[str, float]:
        """`log_loss`, and `calibration_ratio` (mean prediction / mean label) where there was a positive; else empty."""
        if not self._weight:
            return {}
        summary = {"log_loss": self._loss / self._weight}
        if self._observed > _LEAST:
            summary["calibration_ratio"] = self._predicted / self._observed
        return summary
