"""The catalogue as scoring sees it."""

from __future__ import annotations

import msgspec
import pytest

from streams.catalog import NEWEST, Catalog
from streams.contracts.catalog import CatalogItem


def put(catalog: Catalog, item: CatalogItem, offset: int = 1) -> None:
    catalog.apply(item.item_id.encode(), msgspec.json.encode(item), offset)


def test_what_the_catalogue_does_not_know_may_be_sold() -> None:
    assert Catalog().sellable("anything")


@pytest.mark.parametrize(
    ("item", "sellable"),
    [
        (CatalogItem(item_id="i1"), True),
        (CatalogItem(item_id="i1", stock=1), True),
        (CatalogItem(item_id="i1", stock=0), False),
        (CatalogItem(item_id="i1", available=False), False),
        (CatalogItem(item_id="i1", available=False, stock=9), False),
    ],
)
def test_unavailable_or_out_of_stock_is_not_sold(item: CatalogItem, sellable: bool) -> None:
    catalog = Catalog()
    put(catalog, item)
    assert catalog.sellable("i1") is sellable


def test_the_last_word_on_an_item_counts_and_a_tombstone_removes_it() -> None:
    catalog = Catalog()
    put(catalog, CatalogItem(item_id="i1", stock=0))
    put(catalog, CatalogItem(item_id="i1", stock=5))
    assert catalog.sellable("i1")
    put(catalog, CatalogItem(item_id="i1", stock=0))
    catalog.apply(b"i1", None, 9)
    catalog.apply(b"never", None, 10)
    catalog.apply(None, None, 11)
    assert catalog.sellable("i1")
    assert (len(catalog), catalog.offset, catalog.refused) == (0, 11, 0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"i1", b"{"),
        (b"i1", b"\xff"),
        (b"i1", b""),
        (b"i1", b'{"item_id":""}'),
        (b"i1", b'{"item_id":"i1","stock":-1}'),
        (b"i2", b'{"item_id":"i1"}'),
        (None, b'{"item_id":"i1"}'),
    ],
)
def test_what_cannot_be_read_is_counted_and_leaves_the_item_as_it_was(key: bytes | None, value: bytes) -> None:
    catalog = Catalog()
    put(catalog, CatalogItem(item_id="i1", stock=0))
    catalog.apply(key, value, 7)
    assert not catalog.sellable("i1")
    assert (catalog.refused, catalog.offset, len(catalog)) == (1, 7, 1)


def test_the_newest_come_first_equal_ones_by_id_and_only_what_may_be_sold() -> None:
    catalog = Catalog()
    for name, created_ms, stock in (("c", 5, None), ("a", 5, 1), ("b", 9, None), ("gone", 99, 0), ("undated", None, 1)):
        put(catalog, CatalogItem(item_id=name, created_ms=created_ms, stock=stock))
    assert catalog.newest() == ["b", "a", "c"]
    put(catalog, CatalogItem(item_id="d", created_ms=7))
    assert catalog.newest() == ["b", "d", "a", "c"]
    catalog.apply(b"b", None, 9)
    assert catalog.newest() == ["d", "a", "c"]


def test_the_newest_are_bounded() -> None:
    catalog = Catalog()
    for number in range(2 * NEWEST):
        put(catalog, CatalogItem(item_id=f"i{number}", created_ms=number))
    assert len(catalog.newest()) == NEWEST
    assert catalog.newest()[0] == f"i{2 * NEWEST - 1}"
