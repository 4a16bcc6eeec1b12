"""conversions.v1: how likely this touch of an item ends in a purchase; one for each view and cart."""

from __future__ import annotations

from streams.contracts.events import TOUCH_EVENTS
from streams.contracts.outputs import Conversion, Factor
from streams.contracts.topics import Name
from streams.decisions.context import Context
from streams.labels.touches import HORIZON_MS

TOPIC = Name.CONVERSIONS
KIND = "conversion"
TOP_FACTORS = 3


def decide(context: Context) -> Conversion | None:
    """The prediction, or none for events that are no touch."""
    event, models = context.event, context.models
    if not isinstance(event, TOUCH_EVENTS):
        return None
    probability, factors = models.conversion.predict_explained(context.vector, TOP_FACTORS)
    return Conversion(
        id=context.source.output_id(context.offset, KIND),
        seq=context.seq(),
        user_id=event.user_id,
        session=context.profile.session.number,
        ts_ms=event.ts_ms,
        cause=context.cause,
        model=models.conversion_ref,
        catalog_offset=models.catalog_offset,
        degraded=not models.conversion_ref.version,
        arm=models.arm,
        item_id=event.item_id,
        touch_id=context.touch_id,
        probability=round(probability, 6),
        horizon_ms=HORIZON_MS,
        factors=tuple(Factor(name, round(log_odds, 4)) for name, log_odds in factors),
    )
