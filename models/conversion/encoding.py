"""Field values to indices of a hashed feature space.

Feature hashing after Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (ICML 2009), without the
sign: all features are binary, and one place is one weight.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import getitem

Value = int | str | None
"""A bucket number, an id, or nothing known. The kinds never meet: 3 and "3" are different values."""

ENCODING_VERSION = 1
"""Raise it when the same values would get other indices: weights learned before mean nothing afterwards."""

COMMON_BUCKETS = 65
"""Buckets 0 to 64 are looked up from the start and never leave the tables."""

CACHE_LIMIT = 32_768
"""Further values remembered per field and per cross, so that a catalogue of any size costs bounded memory."""

MIN_BITS, MAX_BITS = 4, 24


@dataclass(frozen=True)
class FeatureSpec:
    """Which fields a model sees, in which order, and which pairs of them it sees together.

    `bits`: the space has 2**bits places, 4 to 24. At 2**18 a model of 100,000 active features shares about a third of
    its places. Raises `ValueError` for empty or repeated names, crosses of unknown fields, or `bits` out of range.
    """

    names: tuple[str, ...]
    crosses: tuple[tuple[str, str], ...] = ()
    bits: int = 18

    def __post_init__(self) -> None:
        if not self.names:
            raise ValueError("FeatureSpec.names is empty: a model needs at least one field")
        if not MIN_BITS <= self.bits <= MAX_BITS:
            raise ValueError(f"FeatureSpec.bits is {self.bits}: choose {MIN_BITS} to {MAX_BITS}")
        for cross in self.crosses:
            unknown = set(cross) - set(self.names)
            if unknown or cross[0] == cross[1]:
                raise ValueError(f"FeatureSpec.crosses has {cross}: a cross joins two different fields out of names")
        features = self.features
        if len(set(features)) != len(features) or not all(features):
            raise ValueError(f"FeatureSpec has empty or repeated feature names: {sorted(features)}")

    @cached_property
    def features(self) -> tuple[str, ...]:
        """Names of the active features, fields first, then crosses as `a*b`: position i names index i of
        `Encoder.indices`."""
        return self.names + tuple(f"{a}*{b}" for a, b in self.crosses)

    @cached_property
    def schema_id(self) -> str:
        """16 hex digits that differ when the same values could get other indices."""
        layout = repr((ENCODING_VERSION, self.names, self.crosses, self.bits))
        return hashlib.blake2b(layout.encode(), digest_size=8).hexdigest()


class Encoder:
    """Turns the values of one example into the indices of its active features: one per field, one per cross.

    Deterministic across processes, platforms and Python versions (BLAKE2b of feature name, kind and value). Two
    features may get the same index, in one example too: their weights are then shared.
    """

    def __init__(self, spec: FeatureSpec) -> None:
        self.spec = spec
        self._width = len(spec.names)
        self._fields = [_FieldTable(name, spec.bits) for name in spec.names]
        position = {name: i for i, name in enumerate(spec.names)}
        self._crosses = [
            (position[a], position[b], _CrossTable(f"{a}*{b}", spec.bits))
            for a, b in spec.crosses
        ]  # fmt: skip

    def indices(self, values: Sequence[Value]) -> list[int]:
        """Indices in [0, 2**bits), parallel to `spec.features`, for values in the order of `spec.names`.

        Ints are buckets, strings are ids, none is "missing", which has an index of its own because missing is
        information. Raises `ValueError` for another number of values, `TypeError` for values of other types.
        """
        if len(values) != self._width:
            raise ValueError(
                f"got {len(values)} values for {self._width} fields: pass one per name of the spec, None if missing"
            )
        active: list[int] = list(map(getitem, self._fields, values))
        for a, b, table in self._crosses:
            active.append(table[values[a], values[b]])
        return active


@lru_cache(maxsize=16)
def shared_encoder(spec: FeatureSpec) -> Encoder:
    """One encoder per spec and process, so that a new version of a model starts with the tables that the last one
    filled."""
    return Encoder(spec)


class _FieldTable(dict[Value, int]):
    """Value to index. A lookup of a known value stays inside the interpreter's dict, which is what makes encoding
    fast."""

    def __init__(self, feature: str, bits: int) -> None:
        common: tuple[Value, ...] = (None, *range(COMMON_BUCKETS))
        self._common = {value: _place(bits, feature, value) for value in common}
        super().__init__(self._common)
        self._feature = feature
        self._bits = bits
        self._cached = 0

    def __missing__(self, value: Value) -> int:
        index = _place(self._bits, self._feature, value)
        if self._cached == CACHE_LIMIT:
            self.clear()
            self.update(self._common)
            self._cached = 0
        self._cached += 1
        self[value] = index
        return index


class _CrossTable(dict[tuple[Value, Value], int]):
    def __init__(self, feature: str, bits: int) -> None:
        super().__init__()
        self._feature = feature
        self._bits = bits

    def __missing__(self, pair: tuple[Value, Value]) -> int:
        index = _place(self._bits, self._feature, *pair)
        if len(self) == CACHE_LIMIT:
            self.clear()
        self[pair] = index
        return index


def _place(bits: int, feature: str, *values: Value) -> int:
    """Lengths go into the hashed bytes, so that ("ab", "c") and ("a", "bc") differ."""
    parts = [_tagged(value) for value in values]
    payload = b"".join(len(part).to_bytes(4, "big") + part for part in [feature.encode(), *parts])
    return int.from_bytes(hashlib.blake2b(payload, digest_size=8).digest(), "big") & ((1 << bits) - 1)


def _tagged(value: Value) -> bytes:
    if value is None:
        return b"n"
    if isinstance(value, str):
        return b"s" + value.encode("utf-8", "surrogatepass")
    if isinstance(value, int):
        return b"i%d" % value
    raise TypeError(f"{value!r} is a {type(value).__name__}: give a bucket number (int), an id (str) or None")
