"""A conversion model as tensors and back, exactly: the restored model learns and predicts bit for bit like the one that
was stored.

This module knows River's internals: the weights, the optimizer's `z`, `n` and `n_iterations`, and the intercept are all
the state of
`LogisticRegression` with FTRL. So it works with the one version that it was checked against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import numpy as np
import river
from numpy.typing import NDArray
from river.utils import VectorDict

from models.conversion import layout
from models.conversion.encoding import FeatureSpec
from models.conversion.model import ConversionModel, Hyperparameters

RIVER_VERSION = "0.26.1"


class UnsupportedRiver(RuntimeError):
    """The installed River is not the one whose internals this codec knows."""


def to_tensors(model: ConversionModel) -> dict[str, NDArray[Any]]:
    """The whole state, laid out as `models.conversion.layout` says. Raises `UnsupportedRiver`."""
    _require_known_river()
    regression = model.regression
    optimizer, weights = regression.optimizer, regression.weights
    # A place without a gradient so far is as if it had never been seen.
    seen = [place for place, squares in optimizer.n.items() if squares > 0.0 or optimizer.z[place] != 0.0]
    indices = np.array(sorted(seen), dtype=np.int32)
    places = indices.tolist()
    return {
        "indices": indices,
        "w": np.array([weights[i] for i in places], dtype=np.float64),
        "z": np.array([optimizer.z[i] for i in places], dtype=np.float64),
        "n": np.array([optimizer.n[i] for i in places], dtype=np.float64),
        "intercept": np.array([regression.intercept], dtype=np.float64),
        "hyperparameters": np.array(astuple(model.hyperparameters), dtype=np.float64),
        "counters": np.array([model.examples, optimizer.n_iterations], dtype=np.int64),
        "format": np.array([layout.FORMAT], dtype=np.int64),
        "schema": np.frombuffer(model.spec.schema_id.encode("ascii"), dtype=np.uint8),
    }


def from_tensors(tensors: Mapping[str, NDArray[Any]], spec: FeatureSpec) -> ConversionModel:
    """The model as it was stored, with its own hyperparameters.

    Raises `BrokenSnapshot` unless the tensors are a model over `spec`, and `UnsupportedRiver`.
    """
    _require_known_river()
    layout.check(tensors, spec)
    model = ConversionModel(spec, Hyperparameters(*tensors["hyperparameters"].tolist()))
    model.examples, model.regression.optimizer.n_iterations = tensors["counters"].tolist()
    model.regression.intercept = float(tensors["intercept"][0])
    places = tensors["indices"].tolist()
    model.regression._weights = VectorDict(dict(zip(places, tensors["w"].tolist(), strict=True)))
    model.regression.optimizer.z.update(zip(places, tensors["z"].tolist(), strict=True))
    model.regression.optimizer.n.update(zip(places, tensors["n"].tolist(), strict=True))
    return model


def _require_known_river() -> None:
    if river.__version__ != RIVER_VERSION:
        raise UnsupportedRiver(
            f"River {river.__version__} is installed, but stored models are exact with {RIVER_VERSION} only: "
            f"install river=={RIVER_VERSION}"
        )
