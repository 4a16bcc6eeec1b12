"""Measures of ranked lists against the one item that came next. Each averages over cases; 0 for no cases.

A case is the rank of the wanted item in its list, from 1, or None where the list doesn't hold it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

Rank = int | None


def rank_of(wanted: str, ranked: Sequence[str]) -> Rank:
    """Place of `wanted` in `ranked` (best first), from 1; None if it isn't there."""
    try:
        return ranked.index(wanted) + 1
    except ValueError:
        return None


def hit_rate(ranks: Iterable[Rank], k: int) -> float:
    """Share of cases within the first `k`, in [0, 1]. With one wanted item per case this is Recall@k."""
    return _mean(ranks, k, lambda rank: 1.0)


def mrr(ranks: Iterable[Rank], k: int) -> float:
    """Mean of 1 / rank, 0 beyond `k`, in [0, 1] (mean reciprocal rank, Voorhees, TREC-8, 1999)."""
    return _mean(ranks, k, lambda rank: 1.0 / rank)


def ndcg(ranks: Iterable[Rank], k: int) -> float:
    """Mean of 1 / log2(rank + 1), 0 beyond `k`, in [0, 1] (Järvelin and Kekäläinen, TOIS 2002, with one relevant item,
    so that the ideal gain is 1)."""
    return _mean(ranks, k, lambda rank: 1.0 / math.log2(rank + 1))


def coverage(lists: Iterable[Sequence[str]], items: int, k: int) -> float:
    """Share of all `items` (their number, at least 1) that occur within the first `k` of any list.

    Raises ValueError if `items` or `k` isn't positive, or fewer than the items that occur.
    """
    _check(k)
    shown = {item for ranked in lists for item in ranked[:k]}
    if items < max(1, len(shown)):
        raise ValueError(f"items is {items}, but the lists show {len(shown)}: give the number of all items")
    return len(shown) / items


def _mean(ranks: Iterable[Rank], k: int, gain: Callable[[int], float]) -> float:
    _check(k)
    total, cases = 0.0, 0
    for rank in ranks:
        cases += 1
        if rank is not None and rank <= k:
            if rank < 1:
                raise ValueError(f"rank {rank}: ranks count from 1")
            total += gain(rank)
    return total / cases if cases else 0.0


def _check(k: int) -> None:
    if k < 1:
        raise ValueError(f"k is {k}: give at least 1")
