"""The catalogue as scoring sees it: what may be sold, and what is new. A fold over `catalog.items.v1`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streams.contracts.catalog import CatalogItem

NEWEST = 50

_decoder: msgspec.json.Decoder[CatalogItem] = msgspec.json.Decoder(CatalogItem)


class Catalog:
    """Items by id. One that the catalogue doesn't know may be sold: a shop need not publish one."""

    def __init__(self) -> None:
        self._items: dict[str, CatalogItem] = {}
        self._newest: list[str] | None = []
        self.offset = 0
        self.refused = 0

    def __len__(self) -> int:
        return len(self._items)

    def apply(self, key: bytes | None, value: bytes | None, next_offset: int) -> None:
        """Apply one record; a tombstone removes the item, a record that can't be read is counted and leaves it as it
        was.
        """
        self.offset = next_offset
        self._newest = None
        if value is None:
            self._items.pop((key or b"").decode(errors="replace"), None)
            return
        try:
            item = _decoder.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self.refused += 1
            return
        if key != item.item_id.encode():
            self.refused += 1
            return
        self._items[item.item_id] = item

    def sellable(self, item_id: str) -> bool:
        item = self._items.get(item_id)
        return item is None or item.sellable

    def newest(self) -> Sequence[str]:
        """The NEWEST newest sellable items with a known creation time, newest first, ties by id."""
        if self._newest is None:
            dated = [item for item in self._items.values() if item.created_ms is not None and item.sellable]
            dated.sort(key=lambda item: (-(item.created_ms or 0), item.item_id))
            self._newest = [item.item_id for item in dated[:NEWEST]]
        return self._newest
