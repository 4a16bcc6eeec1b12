"""Encoder and model for any spec and any values."""

from __future__ import annotations

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from models.conversion.encoding import MAX_BITS, MIN_BITS, Encoder, FeatureSpec, Value
from models.conversion.model import ConversionModel
from models.conversion.scorer import logit

names = st.lists(st.text("abcdefgh_", min_size=1, max_size=6), min_size=1, max_size=8, unique=True)
value = st.one_of(st.none(), st.integers(-(2**70), 2**70), st.integers(0, 64), st.text(max_size=20))


@st.composite
def specs(draw: st.DrawFn, most_bits: int = MAX_BITS) -> FeatureSpec:
    fields = tuple(draw(names))
    pairs = [(a, b) for a in fields for b in fields if a != b]
    crosses = draw(st.lists(st.sampled_from(pairs), max_size=4, unique=True)) if pairs else []
    return FeatureSpec(fields, tuple(crosses), draw(st.integers(MIN_BITS, most_bits)))


def rows(spec: FeatureSpec) -> st.SearchStrategy[tuple[Value, ...]]:
    return st.tuples(*[value] * len(spec.names))


@given(st.data())
def test_every_feature_has_one_place_inside_the_space_and_always_the_same(data: st.DataObject) -> None:
    spec = data.draw(specs())
    used, fresh = Encoder(spec), Encoder(spec)
    examples = data.draw(st.lists(rows(spec), min_size=1, max_size=10))
    first = [used.indices(example) for example in examples]
    assert all(len(indices) == len(spec.features) for indices in first)
    assert all(0 <= index < 1 << spec.bits for indices in first for index in indices)
    order = list(range(len(examples)))
    random.Random(0).shuffle(order)
    for k in order:
        assert fresh.indices(examples[k]) == first[k] == used.indices(list(examples[k]))


@given(st.data())
def test_a_field_s_place_depends_on_its_own_value_alone(data: st.DataObject) -> None:
    spec = data.draw(specs())
    one, other = data.draw(rows(spec)), data.draw(rows(spec))
    encoder = Encoder(spec)
    for before, after, a, b in zip(encoder.indices(one), encoder.indices(other), one, other, strict=False):
        if a == b:
            assert before == after


@given(st.data())
@settings(max_examples=50)
def test_the_scorer_equals_river_and_its_factors_the_logit_for_any_history(data: st.DataObject) -> None:
    spec = data.draw(specs(most_bits=10))
    weights = st.floats(0.0, 20.0)
    history = data.draw(st.lists(st.tuples(rows(spec), st.sampled_from([0, 1]), weights), max_size=30))
    model = ConversionModel(spec)
    for row, label, weight in history:
        model.learn(row, label, weight)  # type: ignore[arg-type]
    scorer = model.scorer()
    for row in [row for row, _, _ in history] + [data.draw(rows(spec))]:
        probability, factors = scorer.predict_explained(row, top=len(spec.features))
        assert 0.0 < probability < 1.0
        assert abs(probability - model.predict(row)) <= 1e-12
        assert probability == scorer.predict(row)
        log_odds = scorer.intercept + sum(added for _, added in factors)
        if abs(log_odds) < 20.0:
            assert math.isclose(log_odds, logit(probability), abs_tol=1e-6)
