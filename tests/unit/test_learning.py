"""The fold over training examples: nothing learned twice, nothing skipped, restart = no restart."""

from __future__ import annotations

from functools import cache
from random import Random

import msgspec
import pytest

from streams.contracts.events import AddToCart, Purchase, View
from streams.contracts.examples import Example, NextItem, Outcome
from streams.contracts.identity import Seq
from streams.contracts.snapshots import LearnedUpTo
from streams.contracts.topics import Name
from streams.ingest import Record
from streams.learning import FAMILIES, ConversionFamily, Gap, LearnFold, RetrievalFamily
from streams.serving import SERVED
from streams.testing import MemoryEngine
from streams.testing.strategies import START_MS

Family = ConversionFamily | RetrievalFamily
HOUR_MS = 3_600_000


@cache
def example_values() -> tuple[bytes, ...]:
    """Examples of a small shop over a month, as the fold of events sends them."""
    random, engine = Random(7), MemoryEngine()
    for number in range(600):
        kind = random.choices([View, AddToCart, Purchase], [6, 2, 2])[0]
        engine.log.append(
            kind(
                event_id=f"e{number}",
                user_id=f"u{random.randrange(12)}",
                ts_ms=START_MS + number * HOUR_MS,
                item_id=f"i{random.randrange(9)}",
                category=random.choice(["a", "b", None]),
            )
        )
    engine.batch()
    return tuple(engine.values(Name.EXAMPLES))


def records(values: tuple[bytes, ...] | None = None, first_offset: int = 0) -> list[Record]:
    return [Record(first_offset + n, 0, b"u", value) for n, value in enumerate(values or example_values())]


def learned_from(family: type[Family], batch: list[Record]) -> LearnFold:
    fold = LearnFold(family())
    fold.apply(0, batch)
    return fold


def example(seq: tuple[int, int], item: str = "i1") -> bytes:
    return msgspec.json.encode(NextItem(id=f"x{seq}", seq=Seq(*seq), ts_ms=seq[0], prefix=(), item_id=item))


def test_there_are_examples_of_both_kinds_and_labels() -> None:
    read = [msgspec.json.decode(value, type=Example) for value in example_values()]  # type: ignore[var-annotated]
    outcomes = [one for one in read if isinstance(one, Outcome)]
    assert len(read) - len(outcomes) > 100
    assert sum(one.label == 1 for one in outcomes) > 20
    assert sum(one.label == 0 for one in outcomes) > 100


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
class TestEveryFamily:
    def test_learns_its_own_kind_and_counts_it(self, family: type[Family]) -> None:
        fold = learned_from(family, records())
        read = [msgspec.json.decode(value, type=Example) for value in example_values()]  # type: ignore[var-annotated]
        own = Outcome if family is ConversionFamily else NextItem
        assert fold.family.examples == sum(isinstance(one, own) for one in read)
        assert (fold.refused, fold.repeats) == (0, 0)
        assert fold.trained_ms == max(one.ts_ms for one in read)
        assert fold.learned() == (LearnedUpTo(partition=0, next_offset=len(read), seq=read[-1].seq),)

    @pytest.mark.parametrize("stop", [0, 1, 137, 400])
    def test_a_restart_from_a_snapshot_changes_no_byte(self, family: type[Family], stop: int) -> None:
        straight = learned_from(family, records())
        before = learned_from(family, records()[:stop])
        after = LearnFold(family.restored(before.family.files()), before.learned())
        after.apply(0, records()[stop:] if before.learned() else records())
        assert after.family.files() == straight.family.files()
        assert after.family.examples == straight.family.examples
        assert after.learned() == straight.learned()

    def test_what_was_learned_already_is_skipped_by_its_offset(self, family: type[Family]) -> None:
        """After a crash the group's offset may lie far behind the snapshot's."""
        straight = learned_from(family, records())
        fold = LearnFold(family.restored(straight.family.files()), straight.learned())
        fold.apply(0, records()[:200])
        fold.apply(0, records()[200:])
        assert fold.family.files() == straight.family.files()
        assert fold.learned() == straight.learned()
        assert fold.repeats == 0

    def test_repeats_of_the_scorer_are_dropped_by_their_seq(self, family: type[Family]) -> None:
        """It died after sending 50 to 150 and sent them again."""
        values = example_values()
        straight = learned_from(family, records())
        repeating = learned_from(family, records((*values[:150], *values[50:])))
        assert repeating.family.files() == straight.family.files()
        assert repeating.repeats == 100
        assert repeating.learned()[0].next_offset == len(values) + 100
        assert repeating.learned()[0].seq == straight.learned()[0].seq

    def test_where_a_batch_ends_changes_nothing(self, family: type[Family]) -> None:
        fold = LearnFold(family())
        for start in range(0, len(example_values()), 7):
            fold.apply(0, records()[start : start + 7])
        assert fold.family.files() == learned_from(family, records()).family.files()

    def test_a_snapshot_can_serve(self, family: type[Family]) -> None:
        SERVED[family.name].load(learned_from(family, records()).family.files())

    def test_a_damaged_snapshot_is_refused(self, family: type[Family]) -> None:
        files = learned_from(family, records()).family.files()
        broken = files | {"model.safetensors": files["model.safetensors"][:-9]}
        for use in (family.restored, SERVED[family.name].load):
            with pytest.raises(ValueError, match=r"."):
                use(broken)


def fold_at(next_offset: int, seq: tuple[int, int] | None = None) -> LearnFold:
    mark = LearnedUpTo(partition=0, next_offset=next_offset, seq=None if seq is None else Seq(*seq))
    return LearnFold(RetrievalFamily(), [mark])


def test_a_gap_between_snapshot_and_log_is_refused_with_advice() -> None:
    fold = fold_at(10, (4, 0))
    with pytest.raises(Gap, match=r"retrieval.*partition 0 up to offset 10.*goes on at 11.*retention"):
        fold.apply(0, records((example((5, 0)),), first_offset=11))
    assert fold.family.examples == 0
    fold.apply(0, records((example((5, 0)),), first_offset=10))
    assert fold.family.examples == 1


def test_a_new_model_begins_wherever_the_log_does() -> None:
    fold = LearnFold(RetrievalFamily())
    fold.apply(0, records((example((5, 0)),), first_offset=1_000))
    assert fold.learned() == (LearnedUpTo(partition=0, next_offset=1_001, seq=Seq(5, 0)),)


def test_a_partition_without_examples_keeps_its_mark() -> None:
    fold = fold_at(10)
    fold.apply(0, [])
    fold.apply(1, [])
    assert fold.learned() == (LearnedUpTo(partition=0, next_offset=10, seq=None),)


def test_partitions_have_their_own_marks_in_order() -> None:
    fold = LearnFold(RetrievalFamily())
    fold.apply(2, records((example((9, 0)),)))
    fold.apply(0, records((example((3, 0)), example((3, 1)))))
    assert [(mark.partition, mark.next_offset, mark.seq) for mark in fold.learned()] == [
        (0, 2, Seq(3, 1)),
        (2, 1, Seq(9, 0)),
    ]
    assert fold.family.examples == 3


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"\xff", b'{"kind":"bucket","id":"x","seq":[9,0],"ts_ms":1}', b"[]"]
)
def test_what_a_newer_scorer_may_write_is_counted_and_passed_over(value: bytes | None) -> None:
    fold = LearnFold(RetrievalFamily())
    fold.apply(0, [Record(0, 0, b"u", example((1, 0))), Record(1, 0, b"u", value), Record(2, 0, b"u", example((2, 0)))])
    assert (fold.refused, fold.family.examples) == (1, 2)
    assert fold.learned()[0].next_offset == 3


def test_outcomes_of_other_features_are_counted_and_not_learned() -> None:
    family = ConversionFamily()
    outcome = next(
        one
        for one in (msgspec.json.decode(value, type=Example) for value in example_values())  # type: ignore[var-annotated]
        if isinstance(one, Outcome)
    )
    family.learn(msgspec.structs.replace(outcome, feature_schema="of-another"))
    assert (family.refused, family.examples) == (1, 0)
    family.learn(outcome)
    assert (family.refused, family.examples) == (1, 1)


def test_quality_is_measured_before_learning() -> None:
    fold = learned_from(ConversionFamily, records())
    metrics = fold.family.metrics()
    assert 0.0 < metrics["log_loss"] < 1.0
