"""Tensors to bytes and back in the safetensors format, which holds numbers only: reading it executes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.registry.errors import BrokenSnapshot

Tensors = Mapping[str, NDArray[Any]]


def encode_tensors(tensors: Tensors) -> bytes:
    """Equal tensors give equal bytes, in whatever order the mapping has them.

    Raises `ValueError` for a float tensor with NaN or infinity: a diverged model must not leave the learner.
    """
    for name, tensor in tensors.items():
        if not _finite(tensor):
            raise ValueError(f"tensor {name!r} holds NaN or infinity: the model diverged, keep the last good version")
    return bytes(save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)}))


def decode_tensors(data: bytes) -> dict[str, NDArray[Any]]:
    """The tensors of `encode_tensors`. Raises `BrokenSnapshot` for anything else, and for floats that are not
    finite."""
    try:
        tensors: dict[str, NDArray[Any]] = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise BrokenSnapshot(f"not a readable safetensors file of {len(data)} bytes: {error}") from error
    for name, tensor in tensors.items():
        if not _finite(tensor):
            raise BrokenSnapshot(f"tensor {name!r} holds NaN or infinity")
    return tensors


def _finite(tensor: NDArray[Any]) -> bool:
    return tensor.dtype.kind not in "fc" or bool(np.isfinite(tensor).all())
