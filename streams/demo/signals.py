"""Ctrl-C, SIGTERM and a closed terminal: all three ask the demo to end, never in the middle of a step."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ASKED_BY = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Remembers that somebody asked; a context manager that listens. Only in the main thread."""

    def __init__(self) -> None:
        self.asked = False
        self._raising = False
        self._before: dict[signal.Signals, Any] = {}

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Inside, who asks or has asked interrupts at once, by KeyboardInterrupt: for long waits without a loop."""
        self._raising = True
        try:
            if self.asked:
                raise KeyboardInterrupt
            yield
        finally:
            self._raising = False

    def __enter__(self) -> Stop:
        self._before = {number: signal.signal(number, self._note) for number in _ASKED_BY}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _: int, __: FrameType | None) -> None:
        self.asked = True
        if self._raising:
            self._raising = False
            raise KeyboardInterrupt
