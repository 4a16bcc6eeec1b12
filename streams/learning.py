"""The fold over training examples: (models, batch of examples) -> models. The whole learn role without Kafka.

Each family of models learns from its kind of example and remembers, per partition, up to where: offsets and sequence
marks are part of its snapshot, so after a crash no example counts twice and none is skipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol

import msgspec

from models.conversion.codec import from_tensors as conversion_from_tensors
from models.conversion.codec import to_tensors as conversion_to_tensors
from models.conversion.model import ConversionModel
from models.evaluation.progressive import Progressive
from models.registry.files import decode_tensors, encode_tensors
from models.retrieval.recommender import RetrievalLearner
from streams.contracts.examples import Example, NextItem, Outcome
from streams.contracts.identity import Seq
from streams.contracts.snapshots import LearnedUpTo
from streams.features import view
from streams.ingest import Record
from streams.serving import CONVERSION, CONVERSION_SPEC, RETRIEVAL, TENSORS

_decoder: msgspec.json.Decoder[Example] = msgspec.json.Decoder(Example)


class Family(Protocol):
    """One model that learns from examples."""

    name: ClassVar[str]
    feature_schema: ClassVar[str]
    examples: int

    def learn(self, example: Example) -> None:
        """Learn from an example of this family's kind; ignore others."""

    def files(self) -> dict[str, bytes]:
        """Everything that learning on needs, as files of a snapshot."""

    def metrics(self) -> dict[str, float]:
        """How well it predicts, tested before learning."""


class ConversionFamily:
    """Purchase within the horizon, from outcomes of touches."""

    name: ClassVar[str] = CONVERSION.name
    feature_schema: ClassVar[str] = CONVERSION.feature_schema

    def __init__(self, model: ConversionModel | None = None) -> None:
        self._model = model or ConversionModel(CONVERSION_SPEC)
        self._quality = Progressive()
        self.refused = 0

    @property
    def examples(self) -> int:
        return self._model.examples

    def learn(self, example: Example) -> None:
        if not isinstance(example, Outcome):
            return
        if example.feature_schema != self.feature_schema:
            self.refused += 1
            return
        values = view.unpack(example.features)
        self._quality.add(self._model.predict(values), example.label)
        self._model.learn(values, example.label)

    def files(self) -> dict[str, bytes]:
        return {TENSORS: encode_tensors(conversion_to_tensors(self._model))}

    def metrics(self) -> dict[str, float]:
        return self._quality.summary()

    @classmethod
    def restored(cls, files: Mapping[str, bytes]) -> ConversionFamily:
        """From a snapshot's files. Raises ValueError if they are damaged or don't fit."""
        return cls(conversion_from_tensors(decode_tensors(files[TENSORS]), CONVERSION_SPEC))


class RetrievalFamily:
    """The item after these, from steps of sessions."""

    name: ClassVar[str] = RETRIEVAL.name
    feature_schema: ClassVar[str] = RETRIEVAL.feature_schema

    def __init__(self, learner: RetrievalLearner | None = None, examples: int = 0) -> None:
        self._learner = learner or RetrievalLearner()
        self.examples = examples

    def learn(self, example: Example) -> None:
        if isinstance(example, NextItem):
            self._learner.learn(example.prefix, example.item_id, example.category, example.ts_ms)
            self.examples += 1

    def files(self) -> dict[str, bytes]:
        return {
            TENSORS: encode_tensors(self._learner.to_tensors()),
            "counts.json": msgspec.json.encode({"examples": self.examples}),
        }

    def metrics(self) -> dict[str, float]:
        return {}

    @classmethod
    def restored(cls, files: Mapping[str, bytes]) -> RetrievalFamily:
        """From a snapshot's files. Raises ValueError if they are damaged or don't fit."""
        counts = msgspec.json.decode(files["counts.json"], type=dict[str, int])
        return cls(RetrievalLearner.from_tensors(decode_tensors(files[TENSORS])), counts["examples"])


FAMILIES: tuple[type[ConversionFamily] | type[RetrievalFamily], ...] = (ConversionFamily, RetrievalFamily)


class Gap(Exception):
    """Examples between the snapshot and the log are gone; learning on would skip them."""


class LearnFold:
    """A family and its marks.

    Args:
        family: the model, as its newest snapshot left it.
        learned: that snapshot's marks; none for a new model, which begins wherever the log does.
    """

    def __init__(self, family: ConversionFamily | RetrievalFamily, learned: Sequence[LearnedUpTo] = ()) -> None:
        self.family = family
        self.trained_ms = 0
        self.repeats = 0
        self.refused = 0
        self._marks: dict[int, tuple[int, tuple[int, Seq] | None]] = {
            mark.partition: (mark.next_offset, None if mark.seq is None else (mark.epoch, mark.seq)) for mark in learned
        }

    def apply(self, partition: int, records: Sequence[Record]) -> None:
        """Learn from what is new among `records` of one partition.

        Raises:
            Gap: the first record lies beyond the mark.
        """
        next_offset, newest = self._marks.get(partition, (None, None))
        if next_offset is not None and records and records[0].offset > next_offset:
            raise Gap(
                f"{self.family.name} has learned partition {partition} up to offset {next_offset}, but the log goes on "
                f"at {records[0].offset}: raise the retention, or delete the model's snapshots to learn anew"
            )
        for record in records:
            if next_offset is not None and record.offset < next_offset:
                continue
            next_offset = record.offset + 1
            example = self._decode(record)
            if example is None:
                continue
            place = (example.epoch, example.seq)
            if newest is not None and place <= newest:
                self.repeats += 1
                continue
            newest = place
            self.trained_ms = max(self.trained_ms, example.ts_ms)
            self.family.learn(example)
        if next_offset is not None:
            self._marks[partition] = (next_offset, newest)

    def learned(self) -> tuple[LearnedUpTo, ...]:
        """The marks, by partition."""
        return tuple(
            LearnedUpTo(partition=partition, next_offset=next_offset, seq=None)
            if newest is None
            else LearnedUpTo(partition=partition, next_offset=next_offset, epoch=newest[0], seq=newest[1])
            for partition, (next_offset, newest) in sorted(self._marks.items())
        )

    def _decode(self, record: Record) -> Example | None:
        """None, counted, for what a newer score worker may write and this learner doesn't know."""
        try:
            return _decoder.decode(record.value or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.refused += 1
            return None
