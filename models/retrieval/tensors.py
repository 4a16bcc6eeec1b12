"""Strings and ragged rows as plain arrays, and the checks that refuse damaged ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensors = dict[str, NDArray[Any]]
"""Named arrays, as safetensors stores them."""


def pack_strings(strings: Iterable[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """UTF-8 bytes one after the other, and where each string begins (one more than there are strings)."""
    encoded = [string.encode("utf-8", "surrogatepass") for string in strings]
    return np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets_of(map(len, encoded))


def unpack_strings(blob: NDArray[Any], offsets: NDArray[Any], name: str) -> list[str]:
    """The strings back. Raises ValueError if `offsets` don't fit `blob` or the bytes aren't UTF-8."""
    check_offsets(offsets, len(blob), name)
    data = blob.tobytes()
    try:
        return [data[start:end].decode("utf-8", "surrogatepass") for start, end in pairwise(offsets.tolist())]
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: not UTF-8 ({error}): the snapshot is damaged") from error


def offsets_of(lengths: Iterable[int]) -> NDArray[np.int64]:
    """Where each row begins and the last one ends: `[0, l0, l0 + l1, ...]`."""
    return np.fromiter(accumulate(lengths, initial=0), dtype=np.int64)


def check_offsets(offsets: NDArray[Any], length: int, name: str) -> None:
    """Raises ValueError unless `offsets` cut `length` entries into rows."""
    fits = offsets.ndim == 1 and len(offsets) > 0 and offsets.dtype == np.int64
    if not fits or offsets[0] != 0 or offsets[-1] != length or bool(np.any(np.diff(offsets) < 0)):
        raise ValueError(f"{name}: offsets don't cut {length} entries into rows: the snapshot is damaged")


def check_weights(weights: NDArray[Any], length: int, name: str) -> None:
    """Raises ValueError unless there are `length` finite float64 weights, none negative."""
    if weights.shape != (length,) or weights.dtype != np.float64:
        raise ValueError(f"{name}: {weights.dtype} {weights.shape}, expected float64 ({length},)")
    if not bool(np.all(np.isfinite(weights) & (weights >= 0))):
        raise ValueError(f"{name}: a weight is negative or not finite: the snapshot is damaged")


def check_unique(strings: list[str], name: str) -> None:
    """Raises ValueError if a string occurs twice."""
    if len(set(strings)) != len(strings):
        raise ValueError(f"{name}: an id occurs twice: the snapshot is damaged")


def with_prefix(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}.{name}": tensor for name, tensor in tensors.items()}


def without_prefix(prefix: str, tensors: Mapping[str, NDArray[Any]]) -> Tensors:
    """Those under `prefix`, with their own names."""
    return {
        name.removeprefix(f"{prefix}."): tensor for name, tensor in tensors.items() if name.startswith(f"{prefix}.")
    }


def tensor(tensors: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    """Raises ValueError if it is missing."""
    try:
        return tensors[name]
    except KeyError:
        raise ValueError(f"tensor {name} is missing: the snapshot is damaged or of another model") from None
