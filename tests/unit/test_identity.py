"""Ids and sequence numbers."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.contracts.identity import Seq, Source

numbers = st.integers(0, 11)  # few, so that some are equal
STEADY = settings(derandomize=True, deadline=None, max_examples=300)
sources = st.builds(Source, st.just("clickstream.events.v1"), st.integers(1, 2), st.integers(0, 12))
kinds = st.sampled_from(["conversion", "recommendations", "outcome", "touch"])
outputs = st.tuples(sources, numbers, kinds, st.integers(0, 9))


def test_an_id_names_topic_epoch_partition_offset_kind_and_index() -> None:
    source = Source("clickstream.events.v1", 2, 3)
    assert source.output_id(45, "conversion") == "clickstream.events.v1:2:3:45:conversion:0"
    assert source.output_id(45, "outcome", 6) == "clickstream.events.v1:2:3:45:outcome:6"


@STEADY
@given(outputs, outputs)
def test_ids_are_equal_only_for_the_same_output(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]
    assert (one[0].output_id(*one[1:]) == other[0].output_id(*other[1:])) == (one == other)


@STEADY
@given(st.tuples(numbers, numbers), st.tuples(numbers, numbers))
def test_seqs_compare_like_their_pairs(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (Seq(*one) < Seq(*other)) == (one < other)
    assert (Seq(*one) == Seq(*other)) == (one == other)
    assert (Seq(*one) >= Seq(*other)) == (one >= other)


def test_a_seq_travels_as_a_pair() -> None:
    assert msgspec.json.encode(Seq(4711, 2)) == b"[4711,2]"
    assert msgspec.json.decode(b"[4711,2]", type=Seq) == Seq(4711, 2)
