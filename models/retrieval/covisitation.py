"""The co-visitation graph: which items follow which within sessions, learned step by step, forgotten by event time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.retrieval.decay import ForwardDecay, rescaled
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

DAY_MS = 86_400_000
EVICTED_SHARE = 0.05
"""Items evicted at once, of `max_items`: a batch, because finding the edges that lead to them reads the whole graph."""


@dataclass(frozen=True)
class GraphSettings:
    """`half_life_ms`: 46 days is a loss of a tenth per week, the best in the trial on Diginetica.

    `self_edges`: whether an item that comes again gets an edge to itself. Only where an item already seen may be the
    answer, as in evaluation protocols whose logs repeat items (YOOCHOOSE: MRR@20 36 instead of 30).
    `max_row`: edges of an item, twice as many between two prunings. `max_items`: items, evicted beyond it.
    """

    half_life_ms: int = 46 * DAY_MS
    window: int = 10
    gap_scale: float = 1.5
    backward: float = 0.75
    self_edges: bool = False
    max_row: int = 100
    max_items: int = 200_000

    def __post_init__(self) -> None:
        if self.window < 1 or self.max_row < 1:
            raise ValueError(f"window ({self.window}) and max_row ({self.max_row}) must be at least 1")
        if self.max_items < 4 * (self.window + 1):
            raise ValueError(
                f"max_items is {self.max_items}: a step brings up to {self.window + 1} items, "
                f"give at least {4 * (self.window + 1)}"
            )


class CoVisitation:
    """Directed weighted graph between the items of sessions.

    An item reached `gap` steps after another adds `exp(-(gap - 1) / gap_scale)` to the edge towards it and `backward`
    times that to the edge back. All weights halve every `half_life_ms` of event time.
    """

    def __init__(self, settings: GraphSettings | None = None) -> None:
        self.settings = settings or GraphSettings()
        self.evicted_items = 0
        self.pruned_edges = 0
        self._decay = ForwardDecay(self.settings.half_life_ms)
        self._slots: dict[str, int] = {}  # in the order of arrival, which breaks ties when evicting
        self._free: list[int] = []
        self._counts: list[float] = []
        self._rows: list[dict[int, float]] = []
        forward = [math.exp(-gap / self.settings.gap_scale) for gap in range(self.settings.window)]
        self._gaps = tuple((weight, weight * self.settings.backward) for weight in forward)

    def __len__(self) -> int:
        """Items known."""
        return len(self._slots)

    @property
    def latest_ms(self) -> int:
        """Event time of the newest step learned; 0 before the first."""
        return self._decay.latest_ms

    def learn(self, prefix: Sequence[str], item: str, at_ms: int) -> None:
        """After `prefix` (this session's items, oldest first) came `item`, at event time `at_ms`.

        Call it once per step of a session, its first item included (empty prefix). Of the prefix, the `window` newest
        items count. Times need not be in order.
        """
        shift = self._decay.advance(at_ms)
        if shift:
            self._rescale(shift)
        unit = self._decay.increment(at_ms)
        if unit == 0.0:
            return
        # Room for the whole step first, so that no slot used below can be evicted within it.
        if len(self._slots) > self.settings.max_items - len(self._gaps) - 1:
            self._evict()
        slot = self._slot(item)
        self._counts[slot] += unit
        rows = self._rows
        row = rows[slot]
        limit = 2 * self.settings.max_row
        self_edges = self.settings.self_edges
        for earlier, (forward, backward) in zip(reversed(prefix), self._gaps, strict=False):
            other = self._slot(earlier)
            if other == slot:
                if self_edges:
                    row[slot] = row.get(slot, 0.0) + forward * unit
                continue
            towards = rows[other]
            towards[slot] = towards.get(slot, 0.0) + forward * unit
            row[other] = row.get(other, 0.0) + backward * unit
            if len(towards) > limit:
                self._prune(towards)
        if len(row) > limit:
            self._prune(row)

    def edge(self, item: str, towards: str) -> float:
        """Weight of the edge, decayed to the newest step learned; 0 if there is none."""
        source, target = self._slots.get(item), self._slots.get(towards)
        if source is None or target is None:
            return 0.0
        return self._rows[source].get(target, 0.0) * self._decay.to_latest()

    def edges(self) -> int:
        """Edges held."""
        return sum(map(len, self._rows))

    def to_tensors(self) -> Tensors:
        """All that further learning depends on, exactly.

        `items.blob` uint8 and `items.offsets` int64 (n + 1): ids. `counts` float64 (n). `rows` int64 (n + 1): where the
        edges of each item begin in `edge.target` int32 (index of the item) and `edge.weight` float64. Weights are
        as stored, see `decay.py`. `clock` int64 (3): half-life, landmark, latest, ms. `totals` int64 (2).
        """
        slots = list(self._slots.values())
        dense = np.zeros(len(self._rows), dtype=np.int32)
        dense[slots] = np.arange(len(slots), dtype=np.int32)
        rows = [self._rows[slot] for slot in slots]
        blob, offsets = pack_strings(self._slots)
        starts = offsets_of(map(len, rows))
        edges = int(starts[-1])
        targets = np.fromiter((target for row in rows for target in row), dtype=np.int32, count=edges)
        return {
            "items.blob": blob,
            "items.offsets": offsets,
            "counts": np.array([self._counts[slot] for slot in slots], dtype=np.float64),
            "rows": starts,
            "edge.target": dense[targets],
            "edge.weight": np.fromiter((w for row in rows for w in row.values()), dtype=np.float64, count=edges),
            "clock": self._decay.to_tensor(),
            "totals": np.array([self.evicted_items, self.pruned_edges], dtype=np.int64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], settings: GraphSettings | None = None) -> CoVisitation:
        """The learner back, to the bit. Raises ValueError, naming the tensor, if they are damaged or don't fit."""
        graph = cls(settings)
        arrays = checked(tensors)
        graph._decay = ForwardDecay.from_tensor(tensor(tensors, "clock"), graph.settings.half_life_ms)
        totals = tensor(tensors, "totals")
        if totals.shape != (2,):
            raise ValueError(f"totals: shape {totals.shape}, expected (2,): the snapshot is damaged")
        graph.evicted_items, graph.pruned_edges = (int(total) for total in totals)
        graph._slots = {item: slot for slot, item in enumerate(arrays.items)}
        graph._counts = arrays.counts.tolist()
        starts: list[int] = arrays.rows.tolist()
        targets, weights = arrays.targets.tolist(), arrays.weights.tolist()
        graph._rows = [
            dict(zip(targets[start:end], weights[start:end], strict=True)) for start, end in pairwise(starts)
        ]
        return graph

    def _slot(self, item: str) -> int:
        slot = self._slots.get(item)
        if slot is not None:
            return slot
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._rows)
            self._rows.append({})
            self._counts.append(0.0)
        self._slots[item] = slot
        return slot

    def _prune(self, row: dict[int, float]) -> None:
        """Keep the `max_row` strongest; among equals the older edges."""
        kept = sorted(row.items(), key=lambda edge: edge[1], reverse=True)[: self.settings.max_row]
        self.pruned_edges += len(row) - len(kept)
        row.clear()
        row.update(kept)

    def _evict(self) -> None:
        """Forget the items with the lowest decayed counts, which are the rare and the stale, and all edges to them."""
        batch = max(int(self.settings.max_items * EVICTED_SHARE), len(self._gaps) + 1)
        weakest = sorted(self._slots, key=lambda item: self._counts[self._slots[item]])[:batch]
        gone = {self._slots.pop(item) for item in weakest}
        for slot in gone:
            self._counts[slot] = 0.0
            self._rows[slot].clear()
        for row in self._rows:
            if not gone.isdisjoint(row):
                for slot in gone.intersection(row):
                    del row[slot]
        self._free.extend(sorted(gone))
        self.evicted_items += len(gone)

    def _rescale(self, shift: int) -> None:
        self._rows = [rescaled(row, shift) for row in self._rows]
        self._counts = [math.ldexp(count, -shift) for count in self._counts]


@dataclass(frozen=True)
class GraphArrays:
    """The graph in compressed sparse rows: edges of item i are `rows[i]:rows[i + 1]`."""

    items: list[str]
    counts: NDArray[np.float64]
    rows: NDArray[np.int64]
    targets: NDArray[np.int32]
    weights: NDArray[np.float64]


def checked(tensors: Mapping[str, NDArray[Any]]) -> GraphArrays:
    """The tensors of a graph, refused with ValueError where they contradict each other."""
    items = unpack_strings(tensor(tensors, "items.blob"), tensor(tensors, "items.offsets"), "items")
    check_unique(items, "items")
    counts, rows = tensor(tensors, "counts"), tensor(tensors, "rows")
    targets, weights = tensor(tensors, "edge.target"), tensor(tensors, "edge.weight")
    check_weights(counts, len(items), "counts")
    check_weights(weights, len(targets), "edge.weight")
    check_offsets(rows, len(targets), "rows")
    if len(rows) != len(items) + 1:
        raise ValueError(f"rows: {len(rows) - 1} rows for {len(items)} items: the snapshot is damaged")
    if targets.dtype != np.int32 or targets.ndim != 1:
        raise ValueError(f"edge.target: {targets.dtype} {targets.shape}, expected one row of int32")
    if len(targets) and (int(targets.min()) < 0 or int(targets.max()) >= len(items)):
        raise ValueError("edge.target: an edge leads to an item that is not there: the snapshot is damaged")
    return GraphArrays(items, counts, rows, targets, weights)
