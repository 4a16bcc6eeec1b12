"""Tensor files: equal bytes for equal tensors, and nothing executed or believed that is not one."""

from __future__ import annotations

import json
import os
import pickle  # noqa: TID251 - the attack that must fail
from pathlib import Path

import numpy as np
import pytest

from models.registry.errors import BrokenSnapshot
from models.registry.files import decode_tensors, encode_tensors

TENSORS = {"b": np.arange(5, dtype=np.int32), "a": np.array([[0.5, -1.25]]), "c": np.array([], dtype=np.float64)}


def test_tensors_come_back_as_they_were() -> None:
    decoded = decode_tensors(encode_tensors(TENSORS))
    assert set(decoded) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert decoded[name].dtype == tensor.dtype
        assert np.array_equal(decoded[name], tensor)


def test_a_view_that_is_not_contiguous_comes_back_right() -> None:
    strided = np.arange(10.0)[::3]
    assert np.array_equal(decode_tensors(encode_tensors({"a": strided}))["a"], strided)


def test_the_order_of_the_mapping_does_not_change_the_bytes() -> None:
    assert encode_tensors(TENSORS) == encode_tensors(dict(reversed(TENSORS.items())))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_do_not_leave_the_learner(value: float) -> None:
    with pytest.raises(ValueError, match="'a' holds NaN or infinity"):
        encode_tensors({"a": np.array([1.0, value])})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_on_reading(value: float) -> None:
    data = encode_tensors({"a": np.array([1.0, 2.0])})
    forged = data[:-8] + np.array([value]).tobytes()
    with pytest.raises(BrokenSnapshot, match="'a' holds NaN or infinity"):
        decode_tensors(forged)


def test_every_truncation_is_refused() -> None:
    data = encode_tensors(TENSORS)
    for length in range(len(data)):
        with pytest.raises(BrokenSnapshot, match=f"not a readable safetensors file of {length} bytes"):
            decode_tensors(data[:length])


def header(text: str, body: bytes = b"") -> bytes:
    return len(text.encode()).to_bytes(8, "little") + text.encode() + body


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 64,
        b"PK\x03\x04" + b"x" * 200,
        (1 << 62).to_bytes(8, "little") + b"{}",
        header("[]"),
        header(json.dumps({"a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]}}), b"x" * 8),
        header(json.dumps({"a": {"dtype": "F65", "shape": [1], "data_offsets": [0, 8]}}), b"x" * 8),
        header(json.dumps({"a": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}), b"x" * 2),
        header(json.dumps({"a": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}), b"x"),
        header(json.dumps({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}), b"x" * 9),
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(BrokenSnapshot, match="not a readable safetensors file"):
        decode_tensors(data)


class Planted:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_renamed_pickle_is_refused_and_not_executed(tmp_path: Path) -> None:
    trap = tmp_path / "executed"
    payload = pickle.dumps(Planted(trap))
    with pytest.raises(BrokenSnapshot, match="not a readable safetensors file"):
        decode_tensors(payload)
    assert not trap.exists()
    pickle.loads(payload)
    assert trap.exists()  # the trap works, so the silence above means something
