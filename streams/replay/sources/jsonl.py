"""Our own records, one JSON object a line: events, and catalogue items between them.

An object with a `type` is an event and keeps its `event_id`; one without is a catalogue item, and takes the time of the
event before it. A tick is refused: it belongs to a partition of a topic, not to a log of users.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams.contracts.catalog import CatalogItem
from streams.contracts.events import UserEvent
from streams.replay.sources.files import LineFile
from streams.replay.sources.rows import Row, SourceEvent, SourceFault


class _Kind(msgspec.Struct):
    type: object = None


_decode_kind = msgspec.json.Decoder(_Kind).decode
_decode_event = msgspec.json.Decoder(UserEvent).decode
_decode_item = msgspec.json.Decoder(CatalogItem).decode


class JsonLinesFile:
    """Values are passed on byte for byte; lines that don't keep to the contract are faults, empty lines are skipped."""

    def __init__(self, file: LineFile) -> None:
        self._file = file

    @property
    def total_bytes(self) -> int | None:
        return self._file.total_bytes

    @property
    def bytes_read(self) -> int:
        return self._file.bytes_read

    def __iter__(self) -> Iterator[Row]:
        ts_ms = 0
        for number, line in self._file.lines():
            if isinstance(line, SourceFault):
                yield line
                continue
            if not line.strip():
                continue
            row = _read(number, line, ts_ms)
            if isinstance(row, SourceEvent):
                ts_ms = row.ts_ms
            yield row


def _read(number: int, line: bytes, ts_ms: int) -> Row:
    try:
        line.decode()  # the decoder does not look into the strings of fields that it skips
        if _decode_kind(line).type is None:
            item = _decode_item(line)
            return SourceEvent(number, item.item_id.encode(), line, ts_ms, "catalog")
        event = _decode_event(line)
        return SourceEvent(number, event.user_id.encode(), line, event.ts_ms)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return SourceFault(number, f"not a record: {error}")
