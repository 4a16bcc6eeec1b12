"""What a score worker needs of each model: its name, its feature schema, and how its files come to answer.

Apart from `learning`, since scoring doesn't learn: River and what it imports would double the time that a worker needs
to start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from models.conversion.encoding import FeatureSpec
from models.conversion.scorer import ConversionScorer
from models.registry.files import decode_tensors
from models.retrieval.recommender import RetrievalIndex
from streams.features import view

CONVERSION_SPEC = FeatureSpec(names=view.FEATURES, crosses=view.CROSSES)
TENSORS = "model.safetensors"
"""The file of a snapshot that holds the weights."""


class Served(NamedTuple):
    """A model as scoring sees it. `load` raises ValueError or KeyError for files that are damaged or don't fit."""

    name: str
    feature_schema: str
    load: Callable[[Mapping[str, bytes]], Any]


def _conversion(files: Mapping[str, bytes]) -> ConversionScorer:
    return ConversionScorer.from_tensors(decode_tensors(files[TENSORS]), CONVERSION_SPEC)


def _retrieval(files: Mapping[str, bytes]) -> RetrievalIndex:
    return RetrievalIndex.from_tensors(decode_tensors(files[TENSORS]))


CONVERSION = Served("conversion", view.SCHEMA, _conversion)
RETRIEVAL = Served("retrieval", "item-ids-1", _retrieval)
SERVED = {model.name: model for model in (CONVERSION, RETRIEVAL)}
