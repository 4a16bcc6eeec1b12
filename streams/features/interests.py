"""What a user likes, as weights that halve every 14 days, in bounded memory.

Forward decay (Cormode et al., ICDE 2009): instead of shrinking all weights as time passes, a new one is larger, by 2
to the power of (time - landmark) / half-life. Order of arrival doesn't matter, and reading changes nothing. The
landmark moves when the exponent grows large.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import msgspec

HALF_LIFE_MS = 14 * 86_400_000
MAX_KEYS = 12
_MAX_EXPONENT = 40.0
_NEGLIGIBLE = 1e-9

K = TypeVar("K", str, int)


class Interests(msgspec.Struct, array_like=True, gc=False):
    """Weights of categories, brands and price bands, at most MAX_KEYS each: the lightest leaves when a new one comes.

    `landmark_ms`: time at which an action has its plain weight; 0 while all are empty.
    """

    landmark_ms: int = 0
    categories: dict[str, float] = {}
    brands: dict[str, float] = {}
    price_bands: dict[int, float] = {}


def add(
    interests: Interests, weight: float, at_ms: int, *, category: str | None, brand: str | None, band: int | None
) -> None:
    """Add `weight` > 0 at event time `at_ms` to whichever of the three the event names."""
    if not interests.landmark_ms:
        interests.landmark_ms = at_ms
    exponent = (at_ms - interests.landmark_ms) / HALF_LIFE_MS
    if exponent > _MAX_EXPONENT:
        _move_landmark(interests, at_ms)
        exponent = 0.0
    elif exponent < -_MAX_EXPONENT:
        exponent = -_MAX_EXPONENT
    grown = weight * 2.0**exponent
    if category is not None:
        _add_to(interests.categories, category, grown)
    if brand is not None:
        _add_to(interests.brands, brand, grown)
    if band is not None:
        _add_to(interests.price_bands, band, grown)


def share(weights: Mapping[K, float], key: K | None) -> float | None:
    """Part of all weight that `key` has, 0 to 1; none where nothing is known."""
    if key is None or not weights:
        return None
    return weights.get(key, 0.0) / sum(weights.values())


def strongest(weights: Mapping[str, float], n: int) -> list[tuple[str, float]]:
    """The `n` strongest keys with their shares, ties by key."""
    total = sum(weights.values())
    ranked = sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))
    return [(key, weight / total) for key, weight in ranked[:n]]


def _add_to(weights: dict[K, float], key: K, grown: float) -> None:
    before = weights.get(key)
    if before is not None:
        weights[key] = before + grown
        return
    weights[key] = grown
    if len(weights) > MAX_KEYS:
        del weights[min(weights, key=lambda k: (weights[k], k))]


def _move_landmark(interests: Interests, at_ms: int) -> None:
    shrink = 2.0 ** ((interests.landmark_ms - at_ms) / HALF_LIFE_MS)
    interests.categories = _shrunk(interests.categories, shrink)
    interests.brands = _shrunk(interests.brands, shrink)
    interests.price_bands = _shrunk(interests.price_bands, shrink)
    interests.landmark_ms = at_ms


def _shrunk(weights: Mapping[K, float], shrink: float) -> dict[K, float]:
    return {key: weight * shrink for key, weight in weights.items() if weight * shrink > _NEGLIGIBLE}
