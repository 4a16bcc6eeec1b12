"""Records of `training.examples.v1`: labels joined to what was known at the time. A union tagged by `kind`.

The learner drops repeats by (`epoch`, `seq`), like every subscriber.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from streams.contracts.bounds import Count, DurationMs, Id, TimeMs
from streams.contracts.identity import Seq

MAX_PREFIX = 20
"""Items of the session that a `next_item` example carries at most: the newest."""


class _Example(Struct, frozen=True, kw_only=True, tag_field="kind"):
    """`ts_ms` is the watermark when the label became known: a model may use the example from then on, not earlier.

    `epoch`: of the record that triggered the example; `seq` compares within it.
    """

    id: str
    seq: Seq
    ts_ms: TimeMs
    epoch: Count = 1


class NextItem(_Example, frozen=True, kw_only=True, tag="next_item"):
    """After `prefix` (oldest first, without repeats in a row) the visitor turned to `item_id`.

    An empty prefix starts a session. `category` and `brand` are the event's, if it had them.
    """

    prefix: Annotated[tuple[Id, ...], Meta(max_length=MAX_PREFIX)]
    item_id: Id
    category: str | None = None
    brand: str | None = None


class Outcome(_Example, frozen=True, kw_only=True, tag="outcome"):
    """How a touch ended: bought within the horizon (`label` 1) or not (0). Sent when the horizon has passed.

    `features` is the snapshot of the touch's own time, base64 of its stored bytes, laid out as `feature_schema` says.
    `delay_ms`: watermark at the purchase's arrival minus the touch; none without a purchase.
    """

    touch_id: str
    touch_type: Literal["view", "add_to_cart"]
    item_id: Id
    touched_ms: TimeMs
    horizon_ms: DurationMs
    label: Literal[0, 1]
    delay_ms: DurationMs | None
    feature_schema: str
    features: bytes


Example = NextItem | Outcome
