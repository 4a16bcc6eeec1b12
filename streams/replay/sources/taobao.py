"""Taobao UserBehavior: page views, favourites, carts and purchases of Taobao users, without sessions and prices."""

from __future__ import annotations

import re

from streams.contracts.events import AddToCart, Favorite, Purchase, UserEvent, View
from streams.replay.sources.table import RowError, choice

COLUMNS = ("ts", "user_id", "item_id", "category_id", "event")

_TYPES: dict[str, type[View | Favorite | AddToCart | Purchase]] = {
    "pv": View,
    "fav": Favorite,
    "cart": AddToCart,
    "buy": Purchase,
}
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)


def event(event_id: str, values: list[str]) -> UserEvent:
    """A row as an event. Raises `RowError`."""
    seconds, user_id, item_id, category_id, event_type = values
    make = choice("event", event_type, _TYPES)
    if _SECONDS.fullmatch(seconds) is None:
        raise RowError(f"ts {seconds[:50]!r}: must be whole seconds since 1970")
    return make(
        event_id=event_id,
        user_id=user_id,
        ts_ms=int(seconds) * 1000,
        item_id=item_id,
        category=category_id or None,
    )
