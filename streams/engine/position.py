"""The text committed with an offset: the watermark that belongs to it, and when the record before it arrived.

Kept with the offset and not with the state, since the state may be ahead of the offset after a crash: a timer must fire
at the same record again.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_TEXT = re.compile(r"^v1 watermark_ms=(\d+) arrival_ms=(\d+)$")


class Clockwork(NamedTuple):
    """Where a partition's time stands; zeros before its first record."""

    watermark_ms: int = 0
    arrival_ms: int = 0

    def encode(self) -> str:
        return f"v1 watermark_ms={self.watermark_ms} arrival_ms={self.arrival_ms}"

    @classmethod
    def decode(cls, text: str) -> Clockwork:
        """Read `encode`'s text.

        Raises:
            ValueError: an offset was committed by something else, so the time that belongs to it is unknown.
        """
        found = _TEXT.match(text)
        if found is None:
            raise ValueError(
                f"the committed offset carries {text!r} instead of a watermark: it was set by another program. "
                "Reset the group to the earliest offset, or to the end with a new engine.epoch."
            )
        return cls(int(found.group(1)), int(found.group(2)))
