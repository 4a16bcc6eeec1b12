"""Counts of actions in the last hour, day, week and month, in event time and bounded memory.

Tiered buckets: 5 minutes wide within the last hour, one hour within the last day, one day within the last 30 days.
When time moves on, a bucket that leaves its tier is added to the coarser one. A late event goes to the tier of its age;
one older than the month is not counted. So the order of arrival doesn't matter, and nothing older than a window is in
it by more than the width of one bucket.
"""

from __future__ import annotations

import msgspec

KINDS = ("view", "cart", "favorite", "purchase", "refund")
VIEW, CART, FAVORITE, PURCHASE, REFUND = range(len(KINDS))

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SPANS_MS = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS)

# (width of a bucket, number of buckets kept)
_TIERS = ((5 * 60_000, 12), (HOUR_MS, 24), (DAY_MS, 30))
_FINEST_MS = _TIERS[0][0]
MAX_ROWS = sum(kept + 1 for _, kept in _TIERS)

Row = list[int]
"""[bucket number, views, carts, favorites, purchases, refunds]"""

Counts = tuple[Row, Row, Row, Row]
"""One row of five counts for each of SPANS_MS."""


class Windows(msgspec.Struct, array_like=True, gc=False):
    """Newest event time and three tiers of rows, each sorted by bucket number; at most MAX_ROWS rows."""

    head_ms: int = 0
    tiers: tuple[list[Row], list[Row], list[Row]] = ([], [], [])


def empty() -> Windows:
    return Windows(0, ([], [], []))


def add(windows: Windows, kind: int, at_ms: int) -> bool:
    """Count one action; False when it is older than the longest window and not counted."""
    head_ms = windows.head_ms
    if at_ms > head_ms:
        windows.head_ms = at_ms
        if at_ms // _FINEST_MS != head_ms // _FINEST_MS:
            _roll(windows)
    for tier, (width_ms, kept) in enumerate(_TIERS):
        bucket = at_ms // width_ms
        if bucket >= windows.head_ms // width_ms - kept:
            _row_of(windows.tiers[tier], bucket)[kind + 1] += 1
            return True
    return False


def counts(windows: Windows, at_ms: int) -> Counts:
    """Actions in each span that ends at `at_ms`, which is not before the newest event counted.

    One pass from the newest bucket to the oldest: a span is complete at the first bucket that ends before it begins.
    """
    views = carts = favorites = purchases = refunds = 0
    complete: list[Row] = []
    edges_ms = [at_ms - span_ms for span_ms in SPANS_MS]
    for tier, (width_ms, _) in enumerate(_TIERS):
        for bucket, v, c, f, p, r in reversed(windows.tiers[tier]):
            while len(complete) < len(SPANS_MS) and (bucket + 1) * width_ms <= edges_ms[len(complete)]:
                complete.append([views, carts, favorites, purchases, refunds])
            views += v
            carts += c
            favorites += f
            purchases += p
            refunds += r
        if len(complete) == tier:
            complete.append([views, carts, favorites, purchases, refunds])
    while len(complete) < len(SPANS_MS):
        complete.append([views, carts, favorites, purchases, refunds])
    return complete[0], complete[1], complete[2], complete[3]


def _roll(windows: Windows) -> None:
    """Move what has left its tier into the next, and drop what has left the last."""
    for tier, (width_ms, kept) in enumerate(_TIERS):
        rows = windows.tiers[tier]
        oldest = windows.head_ms // width_ms - kept
        while rows and rows[0][0] < oldest:
            row = rows.pop(0)
            if tier + 1 < len(_TIERS):
                coarse_bucket = row[0] * width_ms // _TIERS[tier + 1][0]
                _merge(windows.tiers[tier + 1], coarse_bucket, row)


def _row_of(rows: list[Row], bucket: int) -> Row:
    """The row of a bucket, made where it belongs; most often the last."""
    if rows and rows[-1][0] == bucket:
        return rows[-1]
    index = len(rows)
    while index and rows[index - 1][0] > bucket:
        index -= 1
    if index and rows[index - 1][0] == bucket:
        return rows[index - 1]
    row = [bucket, 0, 0, 0, 0, 0]
    rows.insert(index, row)
    return row


def _merge(rows: list[Row], bucket: int, other: Row) -> None:
    row = _row_of(rows, bucket)
    for i in range(1, len(row)):
        row[i] += other[i]
