"""The codec for any history."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from models.conversion.codec import from_tensors, to_tensors
from models.conversion.encoding import FeatureSpec
from models.conversion.model import ConversionModel
from models.registry.files import decode_tensors, encode_tensors

SPEC = FeatureSpec(("a", "b"), (("a", "b"),), bits=6)
value = st.one_of(st.none(), st.integers(0, 5), st.sampled_from(["x", "y", "z"]))
history = st.lists(st.tuples(st.tuples(value, value), st.sampled_from([0, 1]), st.floats(0.0, 1000.0)), max_size=25)


@given(history, history)
@settings(max_examples=60)
def test_a_model_that_was_stored_in_the_middle_learns_as_if_it_had_not_been(before: list, after: list) -> None:  # type: ignore[type-arg]
    model = ConversionModel(SPEC)
    for row, label, weight in before:
        model.learn(row, label, weight)
    restored = from_tensors(decode_tensors(encode_tensors(to_tensors(model))), SPEC)
    for row, label, weight in after:
        assert restored.predict(row) == model.predict(row)
        model.learn(row, label, weight)
        restored.learn(row, label, weight)
    assert encode_tensors(to_tensors(restored)) == encode_tensors(to_tensors(model))
