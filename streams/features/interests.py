"""What a user likes, as weights that halve every 14 days, in bounded memory.

Forward decay (Cormode et al., ICDE 2009): instead of shrinking all weights as time passes, a new one is larger, by 2
to the power of (time - landmark) / half-life. Order of arrival doesn't matter, and reading changes nothing. The
landmark moves when the exponent grows large.
"""

from __future__ import annotations

import msgspec

HALF_LIFE_MS = 14 * 86_400_000
MAX_KEYS = 12
_MAX_EXPONENT = 40.0
_NEGLIGIBLE = 1e-9


class Interests(msgspec.Struct, array_like=True, gc=False):
    """Weights by key, at most MAX_KEYS: the lightest leaves when a new one comes. `landmark_ms` 0 while empty."""

    landmark_ms: int = 0
    weights: dict[str, float] = {}


def add(interests: Interests, key: str, weight: float, at_ms: int) -> None:
    """Add `weight` > 0 at event time `at_ms`."""
    if not interests.landmark_ms:
        interests.landmark_ms = at_ms
    exponent = (at_ms - interests.landmark_ms) / HALF_LIFE_MS
    if exponent > _MAX_EXPONENT:
        _move_landmark(interests, at_ms)
        exponent = 0.0
    weights = interests.weights
    weights[key] = weights.get(key, 0.0) + weight * 2.0 ** max(exponent, -_MAX_EXPONENT)
    if len(weights) > MAX_KEYS:
        del weights[min(weights, key=lambda k: (weights[k], k))]


def share(interests: Interests, key: str | None) -> float | None:
    """Part of all weight that `key` has, 0 to 1; none where nothing is known."""
    if key is None or not interests.weights:
        return None
    return interests.weights.get(key, 0.0) / sum(interests.weights.values())


def strongest(interests: Interests, n: int) -> list[tuple[str, float]]:
    """The `n` strongest keys with their shares, ties by key."""
    total = sum(interests.weights.values())
    ranked = sorted(interests.weights.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(key, weight / total) for key, weight in ranked[:n]]


def _move_landmark(interests: Interests, at_ms: int) -> None:
    shrink = 2.0 ** ((interests.landmark_ms - at_ms) / HALF_LIFE_MS)
    kept = {key: weight * shrink for key, weight in interests.weights.items() if weight * shrink > _NEGLIGIBLE}
    interests.weights.clear()
    interests.weights.update(kept)
    interests.landmark_ms = at_ms
