"""What a decision is given: one event, the user after it, and the models in use. Nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct

from models.interfaces import ConversionScorer, Retriever
from streams.contracts.events import ItemEvent
from streams.contracts.identity import Cause, Seq, Source
from streams.contracts.outputs import ModelRef
from streams.features.profile import Profile, Step
from streams.features.view import Vector


class Models(NamedTuple):
    """The versions in use for a whole batch: a worker switches between batches only."""

    conversion: ConversionScorer
    conversion_ref: ModelRef
    retrieval: Retriever | None
    retrieval_ref: ModelRef
    sellable: Callable[[str], bool]
    newest_items: Sequence[str]
    catalog_offset: int
    arm: str = "default"


class Context(Struct, frozen=True, gc=False):
    """One event and all that was known when it came.

    `touch_id` is empty without a touch; `vector` is set for views and carts.
    """

    source: Source
    offset: int
    cause: Cause
    event: ItemEvent
    step: Step
    profile: Profile
    vector: Vector
    touch_id: str
    models: Models

    def seq(self, index: int = 0) -> Seq:
        """Sequence number of the `index`-th output on a topic that this event triggered."""
        return Seq(self.offset, index)
