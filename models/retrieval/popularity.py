"""What is looked at much at the moment: decayed counts of items, overall and per category."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.retrieval.decay import ForwardDecay, rescaled
from models.retrieval.fusion import NOTHING, Distribution
from models.retrieval.tensors import (
    Tensors,
    check_offsets,
    check_unique,
    check_weights,
    offsets_of,
    pack_strings,
    tensor,
    unpack_strings,
)


@dataclass(frozen=True)
class PopularitySettings:
    """Bounds hold up to a factor of two: a table is pruned to its bound when it is twice as long."""

    half_life_ms: int = 86_400_000
    max_items: int = 5_000
    max_categories: int = 2_000
    max_items_per_category: int = 100

    def __post_init__(self) -> None:
        if min(self.max_items, self.max_categories, self.max_items_per_category) < 1:
            raise ValueError(
                f"max_items ({self.max_items}), max_categories ({self.max_categories}) and "
                f"max_items_per_category ({self.max_items_per_category}) must be at least 1"
            )


class Popularity:
    """Tables of decayed counts.

    Pruning makes them approximate: an item that was pruned starts again from zero, so counts near the end of a table
    are too low. An item that stays among the strongest of its table loses nothing.
    """

    def __init__(self, settings: PopularitySettings | None = None) -> None:
        self.settings = settings or PopularitySettings()
        self._decay = ForwardDecay(self.settings.half_life_ms)
        self._overall: dict[str, float] = {}
        self._categories: dict[str, dict[str, float]] = {}

    def learn(self, item: str, category: str | None, at_ms: int) -> None:
        """`item` was looked at, in `category` if it is known, at event time `at_ms`. Times need not be in order."""
        shift = self._decay.advance(at_ms)
        if shift:
            self._rescale(shift)
        unit = self._decay.increment(at_ms)
        if unit == 0.0:
            return
        self._add(self._overall, item, unit, self.settings.max_items)
        if category is None:
            return
        table = self._categories.get(category)
        if table is None:
            if len(self._categories) >= 2 * self.settings.max_categories:
                self._prune_categories()
            table = self._categories[category] = {}
        self._add(table, item, unit, self.settings.max_items_per_category)

    def count(self, item: str, category: str | None = None) -> float:
        """Decayed count at the newest event learned, overall or within a category; 0 if it isn't in the table."""
        table = self._overall if category is None else self._categories.get(category, {})
        return table.get(item, 0.0) * self._decay.to_latest()

    def to_tensors(self) -> Tensors:
        """All that further learning depends on, exactly.

        One row of counts overall, then one per category. `categories.blob` uint8 and `categories.offsets` int64
        (c + 1): their names. `rows` int64 (c + 2): where each row begins in `items.blob`, `items.offsets` and `counts`
        float64 (as stored, see `decay.py`). `clock` int64 (3): half-life, landmark, latest, ms.
        """
        tables = [self._overall, *self._categories.values()]
        names, name_offsets = pack_strings(self._categories)
        blob, offsets = pack_strings(item for table in tables for item in table)
        return {
            "categories.blob": names,
            "categories.offsets": name_offsets,
            "rows": offsets_of(map(len, tables)),
            "items.blob": blob,
            "items.offsets": offsets,
            "counts": np.array([count for table in tables for count in table.values()], dtype=np.float64),
            "clock": self._decay.to_tensor(),
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], settings: PopularitySettings | None = None
    ) -> Popularity:
        """The learner back, to the bit. Raises ValueError, naming the tensor, if they are damaged or don't fit."""
        popularity = cls(settings)
        popularity._decay = ForwardDecay.from_tensor(tensor(tensors, "clock"), popularity.settings.half_life_ms)
        popularity._overall, popularity._categories = _tables(tensors)
        return popularity

    @staticmethod
    def _add(table: dict[str, float], item: str, unit: float, bound: int) -> None:
        table[item] = table.get(item, 0.0) + unit
        if len(table) > 2 * bound:
            kept = sorted(table.items(), key=lambda entry: entry[1], reverse=True)[:bound]
            table.clear()
            table.update(kept)

    def _prune_categories(self) -> None:
        kept = sorted(self._categories.items(), key=lambda entry: sum(entry[1].values()), reverse=True)
        self._categories = dict(kept[: self.settings.max_categories])

    def _rescale(self, shift: int) -> None:
        self._overall = rescaled(self._overall, shift)
        tables = {category: rescaled(table, shift) for category, table in self._categories.items()}
        self._categories = {category: table for category, table in tables.items() if table}


def _tables(tensors: Mapping[str, NDArray[Any]]) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The overall table and those of the categories. Raises ValueError where the tensors contradict each other."""
    names = unpack_strings(tensor(tensors, "categories.blob"), tensor(tensors, "categories.offsets"), "categories")
    items = unpack_strings(tensor(tensors, "items.blob"), tensor(tensors, "items.offsets"), "items")
    counts, rows = tensor(tensors, "counts"), tensor(tensors, "rows")
    check_unique(names, "categories")
    check_weights(counts, len(items), "counts")
    check_offsets(rows, len(items), "rows")
    if len(rows) != len(names) + 2:
        raise ValueError(f"rows: {len(rows) - 1} rows for {len(names)} categories and the overall one: damaged")
    values: list[float] = counts.tolist()
    overall, *categories = (
        dict(zip(items[start:end], values[start:end], strict=True)) for start, end in pairwise(rows.tolist())
    )
    return overall, dict(zip(names, categories, strict=True))


def strongest(table: Mapping[str, float], bound: int) -> Distribution:
    """The first `bound` items by count, ties by id, with their shares of all counts in the table."""
    total = sum(table.values())
    top = sorted(table, key=lambda item: (-table[item], item))[:bound]
    return Distribution(top, {item: table[item] / total if total > 0.0 else 0.0 for item in top})


class PopularityIndex:
    """Immutable, for serving: the strongest items overall and of each category."""

    def __init__(self, overall: Distribution, categories: Mapping[str, Distribution]) -> None:
        self.overall = overall
        self._categories = categories

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[Any]], top: int = 1_000, top_per_category: int = 50
    ) -> PopularityIndex:
        """From the tensors of `Popularity`. Raises ValueError, naming the tensor, if they are damaged."""
        overall, categories = _tables(tensors)
        ranked = {category: strongest(table, top_per_category) for category, table in categories.items()}
        return cls(strongest(overall, top), ranked)

    def category(self, category: str) -> Distribution:
        """Empty for a category that was never learned."""
        return self._categories.get(category, NOTHING)
