"""What the shop sells: items in a category tree, their similarity, prices, stock, promotions and renewal.

Items live in slots. A slot keeps its category, its place among similar items and its popularity; the item in it may be
withdrawn and replaced by a new one. So the shop stays as large as it was, however long it runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.contracts.catalog import CatalogItem
from streams.simulator.categories import BRAND_PARTS, DEPARTMENTS
from streams.simulator.draws import Quantiles, Uniform, Weighted, bell, shuffled
from streams.simulator.options import SimulatorOptions

CURRENCY = "EUR"
HOUR_MS = 3_600_000
HOURS_PER_DAY = 24

RENEWED_PER_DAY = 0.01
REPRICED_PER_DAY = 0.03
PROMOTED_PER_DAY = 0.08
"""Shares: of the items withdrawn, of the items with a new list price, of the leaf categories promoted for a day."""

PROMOTION_PERCENT = 85
"""Price during a promotion, percent of the list price."""

TREND_KEPT, TREND_STEP, TREND_DEVIATION = 0.95, 0.10, 0.32
"""A leaf's trend moves once a day: trend = kept x trend + step x normal, which keeps this deviation."""

RESTOCK_CHANCE_PER_HOUR = 0.2

_BRANDS_PER_DEPARTMENT = 7
_PRICE_FACTOR = Quantiles((0.0, 0.4), (0.25, 0.75), (0.5, 1.0), (0.75, 1.4), (0.95, 2.2), (1.0, 3.0))
_STOCK = Quantiles((0.0, 10), (0.5, 80), (1.0, 400))
_AGE_DAYS = Quantiles((0.0, 1), (0.5, 180), (1.0, 900))

_STEPS = (1, 2, -1, 3, -2, 4)
_pick_step = Weighted((0.38, 0.20, 0.15, 0.12, 0.08, 0.07))
"""Similar items stand on the ring of their leaf; a visitor goes on more often forwards than back: order matters."""


@dataclass(slots=True)
class Leaf:
    """A leaf of the category tree: slots `first .. first + size - 1` in the order of their similarity."""

    path: str
    noun: str
    typical_minor: int
    department: int
    companion: int
    appeal: float
    first: int = 0
    size: int = 0
    popular: Weighted | None = None
    trend: float = 0.0
    promoted: bool = False


@dataclass(slots=True)
class Item:
    """An item on sale. `appeal` and `brand_appeal` are logits of the truth; `list_minor` is without promotion."""

    item_id: str
    slot: int
    leaf_index: int
    brand: str
    title: str
    list_minor: int
    stock: int
    created_ms: int
    appeal: float
    brand_appeal: float
    price_minor: int = 0
    available: bool = True

    def record(self, leaf: Leaf) -> CatalogItem:
        """The item as the catalogue topic shows it."""
        return CatalogItem(
            item_id=self.item_id,
            title=self.title,
            category=leaf.path,
            brand=self.brand,
            price_minor=self.price_minor,
            currency=CURRENCY,
            stock=self.stock,
            created_ms=self.created_ms,
            available=self.available,
        )


class Assortment:
    """All items by slot, and the ways to get from one to another. Draws only from the `uniform` it is given."""

    def __init__(self, options: SimulatorOptions, uniform: Uniform) -> None:
        self._uniform = uniform
        self._number = 0
        self._changed: dict[int, None] = {}
        self._sold_out: dict[int, None] = {}
        self._hours = 0
        self.leaves = _leaves(uniform)
        self._brands = _brands(uniform)
        order = shuffled(len(self.leaves), uniform)
        _share_out(self.leaves, order, options.items, uniform)
        self.popular_leaf = Weighted([leaf.size for leaf in self.leaves])
        self.items: list[Item] = []
        for index, leaf in enumerate(self.leaves):
            for slot in range(leaf.first, leaf.first + leaf.size):
                age_ms = int(_AGE_DAYS(uniform())) * HOURS_PER_DAY * HOUR_MS
                self.items.append(self._new_item(slot, index, max(0, options.start_ms - age_ms)))

    def popular(self, leaf_index: int, u: float) -> int:
        """A slot of the leaf, by popularity (Zipf)."""
        leaf = self.leaves[leaf_index]
        assert leaf.popular is not None
        return leaf.first + leaf.popular(u)

    def neighbour(self, slot: int, u: float) -> int:
        """A slot similar to this one."""
        leaf = self.leaves[self.items[slot].leaf_index]
        return leaf.first + (slot - leaf.first + _STEPS[_pick_step(u)]) % leaf.size

    def companion(self, slot: int, u: float) -> int:
        """A slot that goes with this one: of the leaf's companion, at the same place of the ring, give or take one."""
        leaf = self.leaves[self.items[slot].leaf_index]
        other = self.leaves[leaf.companion]
        place = (slot - leaf.first) * other.size // leaf.size + int(u * 3) - 1
        return other.first + place % other.size

    def sold(self, item: Item, quantity: int) -> None:
        """Take from the stock; the next hourly feed tells the catalogue."""
        item.stock = max(0, item.stock - quantity)
        self._changed[item.slot] = None
        if item.stock == 0:
            self._sold_out[item.slot] = None

    def hour_passed(self, now_ms: int) -> list[CatalogItem]:
        """Restocking each hour; at midnight promotions, prices, trends, new items. Returns the catalogue's changes."""
        records: list[CatalogItem] = []
        uniform = self._uniform
        for slot in tuple(self._sold_out):
            if uniform() < RESTOCK_CHANCE_PER_HOUR:
                self.items[slot].stock = int(_STOCK(uniform()))
                self._changed[slot] = None
                del self._sold_out[slot]
        self._hours += 1
        if self._hours % HOURS_PER_DAY == 0:
            records.extend(self._day_passed(now_ms))
        records.extend(self._record(slot) for slot in self._changed)
        self._changed.clear()
        return records

    def _day_passed(self, now_ms: int) -> list[CatalogItem]:
        uniform = self._uniform
        withdrawn: list[CatalogItem] = []
        for leaf in self.leaves:
            leaf.trend = TREND_KEPT * leaf.trend + TREND_STEP * bell(uniform)
            promoted = uniform() < PROMOTED_PER_DAY
            if promoted != leaf.promoted:
                leaf.promoted = promoted
                for slot in range(leaf.first, leaf.first + leaf.size):
                    self._set_price(self.items[slot], self.items[slot].list_minor)
        for _ in range(int(len(self.items) * REPRICED_PER_DAY + uniform())):
            item = self.items[int(uniform() * len(self.items))]
            self._set_price(item, max(100, int(item.list_minor * (0.9 + 0.2 * uniform()))))
        for _ in range(int(len(self.items) * RENEWED_PER_DAY + uniform())):
            old = self.items[int(uniform() * len(self.items))]
            old.available = False
            withdrawn.append(self._record(old.slot))
            self.items[old.slot] = self._new_item(old.slot, old.leaf_index, now_ms)
            self._changed[old.slot] = None
            self._sold_out.pop(old.slot, None)
        return withdrawn

    def _record(self, slot: int) -> CatalogItem:
        item = self.items[slot]
        return item.record(self.leaves[item.leaf_index])

    def _set_price(self, item: Item, list_minor: int) -> None:
        item.list_minor = list_minor
        promoted = self.leaves[item.leaf_index].promoted
        item.price_minor = list_minor * PROMOTION_PERCENT // 100 if promoted else list_minor
        self._changed[item.slot] = None

    def _new_item(self, slot: int, leaf_index: int, created_ms: int) -> Item:
        uniform = self._uniform
        leaf = self.leaves[leaf_index]
        self._number += 1
        brand, brand_appeal = self._brands[leaf.department][int(uniform() * _BRANDS_PER_DEPARTMENT)]
        list_minor = int(leaf.typical_minor * _PRICE_FACTOR(uniform())) // 10 * 10 + 9
        item = Item(
            item_id=f"i{self._number:06d}",
            slot=slot,
            leaf_index=leaf_index,
            brand=brand,
            title=f"{brand.capitalize()} {leaf.noun} {100 + self._number % 900}",
            list_minor=list_minor,
            stock=int(_STOCK(uniform())),
            created_ms=created_ms,
            appeal=0.5 * bell(uniform),
            brand_appeal=brand_appeal,
        )
        item.price_minor = list_minor * PROMOTION_PERCENT // 100 if leaf.promoted else list_minor
        return item


def _leaves(uniform: Uniform) -> list[Leaf]:
    leaves: list[Leaf] = []
    for department, names in enumerate(DEPARTMENTS):
        first = len(leaves)
        for k, name in enumerate(names):
            companion = first + (k + 1) % len(names)
            leaves.append(Leaf(name.path, name.noun, name.typical_minor, department, companion, 0.5 * bell(uniform)))
            leaves[-1].trend = TREND_DEVIATION * bell(uniform)
    return leaves


def _brands(uniform: Uniform) -> list[list[tuple[str, float]]]:
    """Per department its brands with their appeal."""
    fronts, ends = BRAND_PARTS
    names = [front + end for front in fronts for end in ends]
    order = shuffled(len(names), uniform)
    return [
        [
            (names[order[department * _BRANDS_PER_DEPARTMENT + k]], 0.35 * bell(uniform))
            for k in range(_BRANDS_PER_DEPARTMENT)
        ]
        for department in range(len(DEPARTMENTS))
    ]


def _share_out(leaves: list[Leaf], order: list[int], items: int, uniform: Uniform) -> None:
    """Give each leaf its slots: one at least, the others by Zipf over `order`; inside a leaf popularity is Zipf too."""
    pick = Weighted([1 / (rank + 8) for rank in range(len(leaves))])
    for leaf in leaves:
        leaf.size = 1
    for k in range(items - len(leaves)):
        leaves[order[pick((k + 0.5) / (items - len(leaves)))]].size += 1
    first = 0
    for leaf in leaves:
        leaf.first = first
        first += leaf.size
        leaf.popular = Weighted([1 / (rank + 3) for rank in shuffled(leaf.size, uniform)])
