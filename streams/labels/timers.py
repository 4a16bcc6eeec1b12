"""Event-time timers of one partition: which users have a touch due at a watermark.

Holds at most one timer a user, at his earliest due time or before it; one that fires too early finds nothing due and
is set anew. Rebuilt from the states after recovery, without those that came too early: so outcomes are put in order by
their touches, not by the timers that woke them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator


class Timers:
    """A heap of (due_ms, key), with outdated entries left in it until they come up."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, bytes]] = []
        self._set_for: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._set_for)

    def set(self, key: bytes, due_ms: int) -> None:
        """Wake `key` at `due_ms` at the latest."""
        current = self._set_for.get(key)
        if current is None or due_ms < current:
            self._set_for[key] = due_ms
            heapq.heappush(self._heap, (due_ms, key))

    def due(self, watermark_ms: int) -> Iterator[bytes]:
        """Take out and give the keys that are due, in order; one set while iterating and due comes too."""
        while self._heap and self._heap[0][0] <= watermark_ms:
            due_ms, key = heapq.heappop(self._heap)
            if self._set_for.get(key) == due_ms:
                del self._set_for[key]
                yield key
