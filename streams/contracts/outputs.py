"""Output records: `conversions.v1` and `recommendations.v1`, keyed by user, at least once, deduplicated by `seq`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from streams.contracts.bounds import Count, DurationMs, Id, Probability, TimeMs
from streams.contracts.identity import Cause, Seq


class ModelRef(Struct, frozen=True, gc=False):
    """The model that decided. `version` is empty while there is none yet."""

    name: str
    version: str


class _Output(Struct, frozen=True, kw_only=True):
    """Fields of every output.

    `id`: unique, equal on a repeat. `session`: the user's n-th session, from 1. `ts_ms`: event time of the cause.
    `catalog_offset`: sum of the catalogue's positions when the output was made. `degraded`: made without the model that
    should have made it. `arm`: of a running experiment.
    """

    id: str
    seq: Seq
    user_id: Id
    session: Count
    ts_ms: TimeMs
    cause: Cause
    model: ModelRef
    catalog_offset: Count
    degraded: bool
    arm: str


class Factor(Struct, frozen=True, gc=False):
    """What one feature added to the log-odds."""

    feature: str
    log_odds: float


class Conversion(_Output, frozen=True, kw_only=True):
    """How likely this touch of an item ends in its purchase within `horizon_ms`.

    `touch_id` is the id of the first view or cart of the item in this session: a later prediction for it replaces the
    earlier one. Empty when the event came too late to belong to a session.
    """

    item_id: Id
    touch_id: str
    probability: Probability
    horizon_ms: DurationMs
    factors: tuple[Factor, ...]


Reason = Literal["also_viewed", "your_interest", "popular", "new"]


class RecommendedItem(Struct, frozen=True, kw_only=True, gc=False):
    """One place of the list.

    `rank` from 1. `score` orders the list and means nothing across lists. `source`: the retriever; `reason`: for
    people, with `because` naming the item or category behind it. `propensity`: probability that this policy put
    this item here, 1 for a deterministic place.
    """

    item_id: Id
    rank: Annotated[int, Meta(ge=1, le=1000)]
    score: float
    source: Literal["walk", "interest", "popularity", "exploration"]
    reason: Reason
    because: str
    propensity: Annotated[float, Meta(gt=0.0, le=1.0)]


class Recommendations(_Output, frozen=True, kw_only=True):
    """The items this visitor most likely wants next, best first. Empty while nothing is known of any item."""

    items: tuple[RecommendedItem, ...]
