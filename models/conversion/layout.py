"""The tensors of a stored conversion model, and what must be true of them. Used by the learner's codec and by the
scorer.

| tensor | type | shape | holds |
| --- | --- | --- | --- |
| `indices` | int32 | (k,) | places that have learned, rising |
| `w`, `z`, `n` | float64 | (k,) | weight and FTRL state of each of them |
| `intercept` | float64 | (1,) | log-odds |
| `hyperparameters` | float64 | (6,) | as in `HYPERPARAMETERS` |
| `counters` | int64 | (2,) | as in `COUNTERS` |
| `format` | int64 | (1,) | `FORMAT` |
| `schema` | uint8 | (16,) | the feature spec's `schema_id` in ASCII |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.conversion.encoding import FeatureSpec
from models.registry.errors import BrokenSnapshot

FORMAT = 1
HYPERPARAMETERS = ("base_rate", "alpha", "beta", "l1", "l2", "intercept_rate")
COUNTERS = ("examples", "steps")

_PER_PLACE = ("w", "z", "n")
_TYPES = {
    "indices": np.int32,
    **dict.fromkeys(_PER_PLACE, np.float64),
    "intercept": np.float64,
    "hyperparameters": np.float64,
    "counters": np.int64,
    "format": np.int64,
    "schema": np.uint8,
}
_LENGTHS = {
    "intercept": 1,
    "hyperparameters": len(HYPERPARAMETERS),
    "counters": len(COUNTERS),
    "format": 1,
    "schema": 16,
}


def check(tensors: Mapping[str, NDArray[Any]], spec: FeatureSpec) -> None:
    """Raises `BrokenSnapshot` with the reason unless the tensors are a conversion model over `spec`."""
    if set(tensors) != set(_TYPES):
        raise BrokenSnapshot(f"conversion model has the tensors {sorted(tensors)}, expected {sorted(_TYPES)}")
    for name, kind in _TYPES.items():
        tensor = tensors[name]
        length = _LENGTHS.get(name, tensors["indices"].size)
        if tensor.dtype != kind or tensor.shape != (length,):
            expected = f"{np.dtype(kind)} ({length},)"
            raise BrokenSnapshot(f"tensor {name!r} is {tensor.dtype} {tensor.shape}, expected {expected}")
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise BrokenSnapshot(f"tensor {name!r} holds NaN or infinity")
    if int(tensors["format"][0]) != FORMAT:
        raise BrokenSnapshot(f"conversion model of format {int(tensors['format'][0])}, this software reads {FORMAT}")
    schema = tensors["schema"].tobytes().decode("ascii", "replace")
    if schema != spec.schema_id:
        raise BrokenSnapshot(f"conversion model of feature schema {schema}, ours is {spec.schema_id}: train it anew")
    indices = tensors["indices"]
    if len(indices) and (indices[0] < 0 or indices[-1] >= 1 << spec.bits or (np.diff(indices) <= 0).any()):
        raise BrokenSnapshot(f"indices do not rise within [0, 2**{spec.bits})")
    if (tensors["n"] < 0).any() or (tensors["counters"] < 0).any():
        raise BrokenSnapshot("a sum of squared gradients or a counter is negative")
    base_rate, alpha, beta, *others = hyperparameters = tensors["hyperparameters"].tolist()
    positive = 0.0 < base_rate < 1.0 and alpha > 0.0 and beta > 0.0
    if not (positive and min(others) >= 0.0 and max(hyperparameters) < 1e6):
        stated = dict(zip(HYPERPARAMETERS, hyperparameters, strict=True))
        raise BrokenSnapshot(f"hyperparameters out of range: {stated}")
