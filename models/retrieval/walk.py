"""A short walk from the session's items over the co-visitation graph: the strongest retriever of the trial.

Each hop spreads the weight of the nodes it starts from over their strongest edges. Edges are divided by their row's sum
plus a constant (so a row seen rarely spreads less), the first hop also favours unpopular targets. Later hops count
more: they bring the many items that no single session held together with the current ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.retrieval.covisitation import GraphArrays, checked
from models.retrieval.decay import ForwardDecay
from models.retrieval.tensors import tensor

NOBODY = -1
"""Fills rows that have fewer edges than others."""

Weighted = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Nodes and their weights, one by one."""

NOWHERE: Weighted = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float64))


@dataclass(frozen=True)
class WalkSettings:
    """The trial's values for Diginetica; rows and nodes of its fast variant.

    `row`: strongest edges kept per item. `expanded`: strongest nodes that the next hop starts from. `hops`: weights of
    the first, second and third hop in the score. `rarity`, `rarity_offset`: the first hop is multiplied by
    `(count + rarity_offset) ** -rarity` of the target. `row_offset`: added to a row's sum before dividing by it.
    """

    row: int = 20
    expanded: int = 10
    hops: tuple[float, float, float] = (1.0, 4.0, 2.0)
    distance_scale: float = 1.5
    rarity: float = 0.3
    rarity_offset: float = 5.0
    row_offset: float = 3.0
    window: int = 20

    def __post_init__(self) -> None:
        if min(self.row, self.expanded, self.window) < 1:
            raise ValueError(f"row ({self.row}), expanded ({self.expanded}), window ({self.window}): at least 1 each")


class WalkIndex:
    """Immutable, for serving. Nodes are dense ints in the order of item ids, so a tie of nodes is a tie of ids.

    `items[node]` is the id. `neighbours` int64 (n, row) and `shares` float64 (n, row): each node's strongest edges, the
    strongest first, padded with NOBODY at share 0.
    """

    def __init__(
        self,
        items: list[str],
        neighbours: NDArray[np.int64],
        shares: NDArray[np.float64],
        rarity: NDArray[np.float64],
        settings: WalkSettings,
    ) -> None:
        self.items = items
        self.settings = settings
        self._nodes = {item: node for node, item in enumerate(items)}
        self._neighbours = neighbours
        self._shares = shares
        self._rarity = rarity
        self._recency = [math.exp(-distance / settings.distance_scale) for distance in range(settings.window)]

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, NDArray[Any]], settings: WalkSettings | None = None) -> WalkIndex:
        """From the tensors of `CoVisitation`. Raises ValueError, naming the tensor, if they are damaged."""
        chosen = settings or WalkSettings()
        clock = tensor(tensors, "clock")
        decay = ForwardDecay.from_tensor(clock, int(clock[0]) if len(clock) else 1)
        return cls._build(checked(tensors), decay.to_latest(), chosen)

    @classmethod
    def _build(cls, graph: GraphArrays, to_latest: float, settings: WalkSettings) -> WalkIndex:
        n, width = len(graph.items), settings.row
        order = sorted(range(n), key=graph.items.__getitem__)
        node_of = np.empty(n, dtype=np.int64)
        node_of[order] = np.arange(n, dtype=np.int64)
        weight = graph.weights * to_latest
        slot = np.repeat(np.arange(n), np.diff(graph.rows))
        total = np.bincount(slot, weights=weight, minlength=n)
        # Slots are ascending already and the order is stable: equal weights stay in the order of the row.
        strongest = np.lexsort((-weight, slot))
        place = np.arange(len(slot)) - graph.rows[slot]
        kept = place < width
        strongest, slot, place = strongest[kept], slot[kept], place[kept]
        neighbours = np.full((n, width), NOBODY, dtype=np.int64)
        shares = np.zeros((n, width), dtype=np.float64)
        neighbours[node_of[slot], place] = node_of[graph.targets[strongest]]
        shares[node_of[slot], place] = weight[strongest] / (total[slot] + settings.row_offset)
        counts = np.empty(n, dtype=np.float64)
        counts[node_of] = graph.counts * to_latest
        return cls(
            items=[graph.items[slot] for slot in order],
            neighbours=neighbours,
            shares=shares,
            rarity=(counts + settings.rarity_offset) ** -settings.rarity,
            settings=settings,
        )

    def __len__(self) -> int:
        """Items in the index."""
        return len(self.items)

    def starts(self, session: Sequence[str]) -> dict[int, float]:
        """Nodes of the distinct items of `session` (oldest first), newest first, with the weight of each one's last
        visit: 1 for the last item of the session, less by distance from the end. Unknown items are left out."""
        nodes: dict[int, float] = {}
        for item, weight in zip(reversed(session), self._recency, strict=False):
            node = self._nodes.get(item)
            if node is not None and node not in nodes:
                nodes[node] = weight
        return nodes

    def ranked(self, session: Sequence[str], repeat_boost: float = 1.0) -> Weighted:
        """All nodes that the walk reaches from `session` (oldest item first) with their scores, best first, ties by
        item id; empty if it knows none of the items. Scores are positive and mean nothing across sessions.

        The session's own items are reached like others, and multiplied by `repeat_boost`: the trial's 15 where an item
        may be recommended again, 1 where the caller filters what was seen.
        """
        starts = self.starts(session)
        if not starts:
            return NOWHERE
        weight_1, weight_2, weight_3 = self.settings.hops
        own = np.fromiter(starts.keys(), np.int64, len(starts))
        nodes_1, first = self._spread(own, np.fromiter(starts.values(), np.float64, len(starts)))
        first *= self._rarity.take(nodes_1)
        nodes_2, second = self._spread(*self._strongest(nodes_1, first))
        nodes_3, third = self._spread(*self._strongest(nodes_2, second))
        nodes, scores = summed(
            np.concatenate((nodes_1, nodes_2, nodes_3)),
            np.concatenate((first * weight_1, second * weight_2, third * weight_3)),
        )
        if repeat_boost != 1.0:
            scores[np.isin(nodes, own)] *= repeat_boost
        best = (-scores).argsort(kind="stable")
        return nodes[best], scores[best]

    def because(self, session: Sequence[str], items: Sequence[str]) -> list[str]:
        """For each of `items` (each once) the item of the session behind it: the one that adds most to its first hop.

        For an item reached only by later hops: the newest known item of the session, where the walk has most of its
        weight. That is a simplification: no path is traced through the nodes between. "" if none is known.
        """
        starts = self.starts(session)
        if not starts or not items:
            return [""] * len(items)
        own = np.fromiter(starts.keys(), np.int64, len(starts))
        wanted = np.array([self._nodes.get(item, NOBODY - 1) for item in items])
        edges = self._shares.take(own, 0)
        edges *= np.fromiter(starts.values(), np.float64, len(starts))[:, None]
        # (wanted, starts): what each start adds to each wanted node; all 0 picks the first start, the newest item.
        adds = ((self._neighbours.take(own, 0) == wanted[:, None, None]) * edges).sum(axis=2)
        return [self.items[node] for node in own[adds.argmax(axis=1)].tolist()]

    def _spread(self, nodes: NDArray[np.int64], weights: NDArray[np.float64]) -> Weighted:
        """One hop: the nodes reached, ascending, and the weight of each."""
        spread = self._shares.take(nodes, 0)
        spread *= weights[:, None]
        reached, sums = summed(self._neighbours.take(nodes, 0).ravel(), spread.ravel())
        if len(reached) and reached[0] == NOBODY:
            return reached[1:], sums[1:]
        return reached, sums

    def _strongest(self, nodes: NDArray[np.int64], weights: NDArray[np.float64]) -> Weighted:
        if len(nodes) <= self.settings.expanded:
            return nodes, weights
        best = (-weights).argsort(kind="stable")[: self.settings.expanded]
        return nodes[best], weights[best]


def summed(nodes: NDArray[np.int64], weights: NDArray[np.float64]) -> Weighted:
    """Each distinct node once, ascending, with the sum of its weights."""
    if not len(nodes):
        return NOWHERE
    # Stable, so that a sum is taken in the same order on every processor.
    order = nodes.argsort(kind="stable")
    nodes = nodes[order]
    new = np.empty(len(nodes), dtype=np.bool_)
    new[0] = True
    np.not_equal(nodes[1:], nodes[:-1], out=new[1:])
    begins = new.nonzero()[0]
    return nodes[begins], np.add.reduceat(weights[order], begins)
