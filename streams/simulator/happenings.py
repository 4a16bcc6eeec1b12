"""Events as they happen at the shop, before anything is lost, late or doubled on the way."""

from __future__ import annotations

from typing import Any, NamedTuple

from streams.contracts.bounds import Channel
from streams.contracts.events import UserEvent
from streams.simulator.items import CURRENCY, Assortment, Item


class Happening(NamedTuple):
    """An event. `touch_probability` is the truth about a touch, None for what is no touch."""

    event: UserEvent
    touch_probability: float | None = None


class Visitor(NamedTuple):
    """The fields that all events of a visit share."""

    user_id: str
    session_id: str
    channel: Channel
    user_agent: str


class Recorder:
    """Gives out ids and fills in the fields that events have in common. `prefix` keeps shops apart."""

    def __init__(self, assortment: Assortment, prefix: str) -> None:
        self._leaves = assortment.leaves
        self._prefix = prefix
        self._ids = 0

    def next_id(self, kind: str) -> str:
        """An id that no other event, session or order of this shop has."""
        self._ids += 1
        return f"{kind}{self._prefix}-{self._ids}"

    def of_user(self, visitor: Visitor, ts_ms: int) -> dict[str, Any]:
        """Fields of any event."""
        return {
            "event_id": self.next_id("e"),
            "user_id": visitor.user_id,
            "ts_ms": ts_ms,
            "session_id": visitor.session_id,
            "channel": visitor.channel,
            "user_agent": visitor.user_agent,
        }

    def on_item(self, visitor: Visitor, item: Item, price_minor: int, ts_ms: int) -> dict[str, Any]:
        """Fields of an event about an item at this price per piece."""
        fields = self.of_user(visitor, ts_ms)
        fields["item_id"] = item.item_id
        fields["category"] = self._leaves[item.leaf_index].path
        fields["brand"] = item.brand
        fields["price_minor"] = price_minor
        fields["currency"] = CURRENCY
        return fields
