"""Records of `catalog.items.v1`: compacted, keyed by `item_id`; a tombstone removes the item."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from streams.contracts.bounds import Currency, Id, Minor, ShortText, TimeMs


class CatalogItem(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What the shop says of an item. Unavailable or out of stock items are never recommended."""

    item_id: Id
    title: ShortText = ""
    category: ShortText | None = None
    brand: ShortText | None = None
    price_minor: Minor | None = None
    currency: Currency | None = None
    stock: Annotated[int, Meta(ge=0)] | None = None
    created_ms: TimeMs | None = None
    available: bool = True

    @property
    def sellable(self) -> bool:
        """Available, and in stock as far as the stock is known."""
        return self.available and self.stock != 0
