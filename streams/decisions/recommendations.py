"""recommendations.v1: the items a visitor wants next; one list for each view of an item."""

from __future__ import annotations

from zlib import crc32

from models.interfaces import RecommendRequest
from streams.contracts.events import View
from streams.contracts.outputs import Recommendations, RecommendedItem
from streams.contracts.topics import Name
from streams.decisions.context import Context
from streams.features.interests import strongest

TOPIC = Name.RECOMMENDATIONS
KIND = "recommendations"
PLACES = 20
INTERESTS = 3


def decide(context: Context) -> Recommendations | None:
    """The list, or none for events that open no item's page."""
    event, models = context.event, context.models
    if not isinstance(event, View):
        return None
    record_id = context.source.output_id(context.offset, KIND)
    return Recommendations(
        id=record_id,
        seq=context.seq(),
        user_id=event.user_id,
        session=context.profile.session.number,
        ts_ms=event.ts_ms,
        cause=context.cause,
        model=models.retrieval_ref,
        catalog_offset=models.catalog_offset,
        degraded=not models.retrieval_ref.version,
        arm=models.arm,
        items=_items(context, seed=crc32(record_id.encode())),
    )


def _items(context: Context, seed: int) -> tuple[RecommendedItem, ...]:
    """Seen items are left out: those of the session, and of the memory where the user allows one."""
    retriever = context.models.retrieval
    if retriever is None:
        return ()
    profile, personal = context.profile, context.step.personal
    # A late event is no part of the current session: what it looked at stands for itself.
    session = [context.event.item_id] if context.step.late else profile.session.trail
    seen = {context.event.item_id, *profile.session.items, *(profile.items if personal else ())}
    request = RecommendRequest(
        session=session,
        exclude=seen,
        interests=strongest(profile.interests.categories, INTERESTS) if personal else (),
        sellable=context.models.sellable,
        new_items=context.models.newest_items,
        seed=seed,
        k=PLACES,
        personal=personal,
    )
    return tuple(
        RecommendedItem(
            item_id=candidate.item_id,
            rank=rank,
            score=round(candidate.score, 6),
            source=candidate.source,
            reason=candidate.reason,
            because=candidate.because,
            propensity=candidate.propensity,
        )
        for rank, candidate in enumerate(retriever.recommend(request), start=1)
    )
