"""Encoder: stable places, one per field and cross, bounded memory, clear refusals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from models.conversion import encoding
from models.conversion.encoding import Encoder, FeatureSpec, shared_encoder

SPEC = FeatureSpec(("depth", "hour", "item"), (("item", "hour"),))
EXAMPLE = (3, None, "item-42")
GOLDEN_INDICES = [132527, 147890, 117697, 42477]
GOLDEN_SCHEMA = "d83116c416878e86"


def test_places_are_the_golden_ones() -> None:
    assert Encoder(SPEC).indices(EXAMPLE) == GOLDEN_INDICES


def test_the_schema_id_is_the_golden_one() -> None:
    assert SPEC.schema_id == GOLDEN_SCHEMA


def test_places_do_not_depend_on_the_hash_seed_of_the_process() -> None:
    program = (
        "from models.conversion.encoding import *;"
        f"print(Encoder(FeatureSpec({SPEC.names!r}, {SPEC.crosses!r})).indices({EXAMPLE!r}))"
    )
    root = Path(__file__).parents[2]
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == str(GOLDEN_INDICES)


def test_each_part_of_a_spec_changes_the_schema_id() -> None:
    others = [
        FeatureSpec(("hour", "depth", "item"), SPEC.crosses),
        FeatureSpec(SPEC.names),
        FeatureSpec(SPEC.names, (("hour", "item"),)),
        FeatureSpec(SPEC.names, SPEC.crosses, bits=19),
    ]
    assert len({SPEC.schema_id, *(spec.schema_id for spec in others)}) == 5


def test_features_are_named_in_the_order_of_the_indices() -> None:
    assert SPEC.features == ("depth", "hour", "item", "item*hour")
    encoder = Encoder(FeatureSpec(("depth", "hour", "item"), (("item", "hour"),), bits=24))
    before, after = encoder.indices((3, 7, "x")), encoder.indices((3, 8, "x"))
    assert [a != b for a, b in zip(before, after, strict=True)] == [False, True, False, True]


def test_a_missing_value_a_bucket_and_its_digit_as_an_id_are_three_values() -> None:
    encoder = Encoder(FeatureSpec(("a",), bits=24))
    assert len({encoder.indices((value,))[0] for value in (None, 0, "0", "", "None")}) == 5


def test_equal_values_of_two_fields_have_places_of_their_own() -> None:
    first, second = Encoder(FeatureSpec(("a", "b"), bits=24)).indices((1, 1))
    assert first != second


def test_crosses_keep_the_limit_between_their_two_values() -> None:
    encoder = Encoder(FeatureSpec(("a", "b"), (("a", "b"),), bits=24))
    assert encoder.indices(("xy", "z"))[2] != encoder.indices(("x", "yz"))[2]


@pytest.mark.parametrize("values", [(3, None), (3, None, "item-42", 1), ()])
def test_another_number_of_values_is_refused(values: tuple[int | str | None, ...]) -> None:
    with pytest.raises(ValueError, match=r"\d values for 3 fields"):
        Encoder(SPEC).indices(values)


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="float"):
        Encoder(SPEC).indices((3, 0.5, "item-42"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ()}, "empty"),
        ({"names": ("a", "a")}, "repeated"),
        ({"names": ("a", "")}, "empty"),
        ({"names": ("a", "b"), "crosses": (("a", "c"),)}, "two different fields"),
        ({"names": ("a", "b"), "crosses": (("a", "a"),)}, "two different fields"),
        ({"names": ("a", "b"), "crosses": (("a", "b"), ("a", "b"))}, "repeated"),
        ({"names": ("a",), "bits": 3}, "bits"),
        ({"names": ("a",), "bits": 25}, "bits"),
    ],
)
def test_a_spec_that_makes_no_sense_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FeatureSpec(**arguments)  # type: ignore[arg-type]


def test_tables_stay_bounded_and_places_stay_the_same_when_they_are_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "CACHE_LIMIT", 10)
    spec = FeatureSpec(("a", "b"), (("a", "b"),))
    small, fresh = Encoder(spec), Encoder(spec)
    for k in range(95):
        assert small.indices((f"id-{k}", 1)) == Encoder(spec).indices((f"id-{k}", 1))
        assert len(small._fields[0]) <= 10 + encoding.COMMON_BUCKETS + 1
        assert len(small._crosses[0][2]) <= 10
    assert small.indices((64, None)) == fresh.indices((64, None))
    assert len(small._fields[0]) > encoding.COMMON_BUCKETS  # the buckets survived


def test_versions_of_a_model_share_one_encoder() -> None:
    assert shared_encoder(FeatureSpec(("a", "b"))) is shared_encoder(FeatureSpec(("a", "b")))
