"""The only place that reads the wall clock; everything else is given the time.

The core takes time from events. A shell that must know "now" (arrival of a tick, a metric, a deadline)
takes a `Clock`, so that tests can hand it another.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Source of wall-clock time."""

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch."""


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000  # noqa: TID251


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, now_ms: int = 0) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance_ms(self, by_ms: int) -> None:
        """Move forward by `by_ms` >= 0."""
        if by_ms < 0:
            raise ValueError(f"time can't go back: {by_ms} ms")
        self._now_ms += by_ms
