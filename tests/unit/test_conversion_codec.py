"""Codec: an exact round trip, and every damage refused with its reason."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import river
from numpy.typing import NDArray

from models.conversion.codec import UnsupportedRiver, from_tensors, to_tensors
from models.conversion.encoding import FeatureSpec, Value
from models.conversion.model import ConversionModel, Hyperparameters
from models.conversion.scorer import ConversionScorer
from models.registry.errors import BrokenSnapshot
from models.registry.files import decode_tensors, encode_tensors

SPEC = FeatureSpec(("depth", "hour", "item", "brand"), (("brand", "hour"),), bits=14)

Tensors = dict[str, NDArray[Any]]


def touches(seed: int, count: int) -> list[tuple[tuple[Value, ...], int, float]]:
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        item = int(draw.paretovariate(0.7)) % 5_000
        row = (draw.choice((None, 1, 2, 3)), draw.randrange(24), f"i{item}", f"b{item % 40}")
        label = int(draw.random() < (0.3 if item % 3 else 0.05))
        rows.append((row, label, draw.choice((1.0, 0.25, 3.5))))
    return rows


def learned(count: int) -> ConversionModel:
    model = ConversionModel(SPEC, Hyperparameters(base_rate=0.1, alpha=0.3, l1=0.5))
    for row, label, weight in touches(1, count):
        model.learn(row, label, weight)  # type: ignore[arg-type]
    return model


def stored(model: ConversionModel) -> Tensors:
    return decode_tensors(encode_tensors(to_tensors(model)))


@pytest.mark.parametrize("count", [0, 1, 3_000])
def test_after_a_round_trip_2000_further_steps_are_equal_bit_for_bit(count: int) -> None:
    model = learned(count)
    restored = from_tensors(stored(model), SPEC)
    assert (restored.examples, restored.hyperparameters) == (model.examples, model.hyperparameters)
    for row, label, weight in touches(2, 2_000):
        assert restored.predict(row).hex() == model.predict(row).hex()
        model.learn(row, label, weight)  # type: ignore[arg-type]
        restored.learn(row, label, weight)  # type: ignore[arg-type]
    assert restored.regression.weights == model.regression.weights
    assert encode_tensors(to_tensors(restored)) == encode_tensors(to_tensors(model))


def test_each_part_of_the_state_matters_to_the_round_trip() -> None:
    tensors = stored(learned(3_000))
    for name, changed in {
        "w": lambda values: values * 1.01,
        "z": lambda values: values * 1.01,
        "n": lambda values: values * 1.01,
        "intercept": lambda values: values + 0.01,
        "counters": lambda values: values + np.array([0, 100]),
        "hyperparameters": lambda values: values * np.array([1, 1.01, 1, 1, 1, 1]),
    }.items():
        exact, wrong = from_tensors(tensors, SPEC), from_tensors({**tensors, name: changed(tensors[name])}, SPEC)
        for row, label, weight in touches(2, 200):
            exact.learn(row, label, weight)  # type: ignore[arg-type]
            wrong.learn(row, label, weight)  # type: ignore[arg-type]
        assert [exact.predict(row) for row, _, _ in touches(3, 50)] != [
            wrong.predict(row) for row, _, _ in touches(3, 50)
        ], name


def test_places_without_weight_are_kept_because_their_state_matters() -> None:
    tensors = to_tensors(learned(3_000))
    assert (tensors["w"] == 0.0).sum() > 100
    assert (tensors["n"] > 0.0).all()


def test_the_scorer_of_the_tensors_equals_the_scorer_of_the_model() -> None:
    model = learned(3_000)
    direct, loaded = model.scorer(), ConversionScorer.from_tensors(stored(model), SPEC)
    rows = [row for row, _, _ in touches(4, 500)]
    assert [loaded.predict_explained(row) for row in rows] == [direct.predict_explained(row) for row in rows]
    assert (loaded.examples, loaded.size) == (direct.examples, direct.size)


def replaced(name: str, tensor: Any) -> Callable[[Tensors], Tensors]:
    return lambda tensors: {**tensors, name: np.asarray(tensor)}


def changed(name: str, position: int, value: float) -> Callable[[Tensors], Tensors]:
    def change(tensors: Tensors) -> Tensors:
        copy = tensors[name].copy()
        copy[position] = value
        return {**tensors, name: copy}

    return change


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda t: {name: t[name] for name in t if name != "z"}, "has the tensors"),
        (lambda t: {**t, "extra": np.zeros(1)}, "has the tensors"),
        (lambda t: {**t, "w": t["w"][:-1]}, "'w' is float64"),
        (lambda t: {**t, "w": t["w"].astype(np.float32)}, "'w' is float32"),
        (lambda t: {**t, "w": t["w"].reshape(1, -1)}, "'w' is float64"),
        (lambda t: {**t, "indices": t["indices"][::-1].copy()}, "do not rise"),
        (replaced("indices", np.int32(3)), "'indices' is int32"),
        (changed("indices", -1, 1 << 14), "do not rise within"),
        (changed("indices", 0, -1), "do not rise within"),
        (changed("w", 0, np.nan), "'w' holds NaN"),
        (changed("intercept", 0, np.inf), "'intercept' holds NaN or infinity"),
        (changed("n", 0, -1.0), "squared gradients"),
        (changed("counters", 0, -1), "counter"),
        (changed("format", 0, 99), "format 99"),
        (changed("schema", 0, ord("!")), "feature schema !"),
        (changed("hyperparameters", 1, 0.0), "hyperparameters out of range"),
        (changed("hyperparameters", 0, 1.0), "hyperparameters out of range"),
    ],
)
def test_damaged_tensors_are_refused_with_the_reason(damage: Callable[[Tensors], Tensors], reason: str) -> None:
    tensors = damage(stored(learned(300)))
    with pytest.raises(BrokenSnapshot, match=reason):
        from_tensors(tensors, SPEC)
    with pytest.raises(BrokenSnapshot, match=reason):
        ConversionScorer.from_tensors(tensors, SPEC)


def test_a_model_of_another_feature_schema_is_refused() -> None:
    other = FeatureSpec(SPEC.names, SPEC.crosses, bits=15)
    with pytest.raises(BrokenSnapshot, match=f"{SPEC.schema_id}, ours is {other.schema_id}"):
        from_tensors(stored(learned(10)), other)


def test_another_river_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = learned(10)
    tensors = to_tensors(model)
    monkeypatch.setattr(river, "__version__", "0.27.0")
    with pytest.raises(UnsupportedRiver, match=r"River 0\.27\.0 is installed.*river==0\.26\.1"):
        from_tensors(tensors, SPEC)
    with pytest.raises(UnsupportedRiver, match=r"0\.27\.0"):
        to_tensors(model)
