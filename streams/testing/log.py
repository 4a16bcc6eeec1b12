"""One partition of the input topic: records are appended and read, never changed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from streams.contracts.events import Event, Tick
from streams.ingest import Record

_encode = msgspec.json.Encoder().encode


class MemoryLog:
    """Records with offsets from 0. Arrival never goes back: an event arrives at its own time, or when the one before it
    did where that is later."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.arrival_ms = 0

    def __len__(self) -> int:
        return len(self.records)

    def append(self, event: Event, *, late_ms: int = 0) -> int:
        """Append an event as a producer sends it; returns its offset. It arrives at its time, which is then set back by
        `late_ms`: so late it is on arrival."""
        self.arrival_ms = max(self.arrival_ms, event.ts_ms)
        if late_ms:
            event = msgspec.structs.replace(event, ts_ms=max(event.ts_ms - late_ms, 0))
        key = None if isinstance(event, Tick) else event.user_id.encode()
        return self.append_raw(key, _encode(event))

    def append_raw(
        self, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] = ()
    ) -> int:
        """Append anything, arriving with the record before it; returns its offset."""
        offset = len(self.records)
        self.records.append(Record(offset, self.arrival_ms, key, value, headers))
        return offset

    def repeat(self, offset: int) -> int:
        """What a producer does that missed the acknowledgement: the same bytes again. Returns the new offset."""
        original = self.records[offset]
        return self.append_raw(original.key, original.value, original.headers)

    def read(self, offset: int, size: int | None = None) -> Sequence[Record]:
        """At most `size` records from `offset` on; all that there are if none."""
        return self.records[offset:] if size is None else self.records[offset : offset + size]
