"""Rows of delimited text files whose first line names the columns, turned into our events."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from hashlib import blake2b
from typing import TypeVar

import msgspec

from streams.contracts.events import UserEvent
from streams.replay.sources.files import LineFile
from streams.replay.sources.rows import Row, SourceEvent, SourceFault


class RowError(ValueError):
    """A row can't be read; the message says which column and why."""


MakeEvent = Callable[[str, list[str]], UserEvent]
"""(event id, values in the order of the format's columns) -> event. Raises `RowError`."""

_EVENT_ID_BYTES = 16

T = TypeVar("T")


class TableFile:
    """A comma-separated file with the given columns in its header line, in any order.

    `event_id` is 32 hex digits of BLAKE2b over the SHA-256 of the file as stored and the line number: the same row of
    the same file always has the same id, equal rows on two lines have two, and a file compressed anew is another file.
    Values may be quoted, but no row goes over several lines: so a stray quote costs its line only. Empty lines are
    skipped.
    """

    def __init__(self, file: LineFile, columns: tuple[str, ...], make: MakeEvent) -> None:
        self._file = file
        self._columns = columns
        self._make = make

    @property
    def total_bytes(self) -> int | None:
        return self._file.total_bytes

    @property
    def bytes_read(self) -> int:
        return self._file.bytes_read

    def __iter__(self) -> Iterator[Row]:
        identity = blake2b(self._file.digest(), digest_size=_EVENT_ID_BYTES)
        lines = self._file.lines()
        positions: list[int] | None = None
        for number, line in lines:
            if isinstance(line, SourceFault):
                yield line
                if positions is None:
                    return
                continue
            if not line:
                continue
            try:
                values = _split(line)
                if positions is None:
                    positions = self._positions(values)
                    continue
                if len(values) != len(positions):
                    raise RowError(f"{len(values)} columns where the header has {len(positions)}")
                yield self._read(number, [values[i] for i in positions], identity.copy())
            except RowError as error:
                yield SourceFault(number, str(error))
                if positions is None:
                    return

    def _positions(self, header: list[str]) -> list[int]:
        if sorted(header) != sorted(self._columns):
            raise RowError(
                f"the header must name the columns {','.join(self._columns)}; found {','.join(header)[:200]!r}, "
                "so nothing after it can be read: put the header first"
            )
        return [header.index(column) for column in self._columns]

    def _read(self, number: int, values: list[str], identity: blake2b) -> SourceEvent:
        identity.update(number.to_bytes(8, "big"))
        event = self._make(identity.hexdigest(), values)
        value = _encode(event)
        try:
            _decode(value)
        except msgspec.ValidationError as error:
            raise RowError(f"not an event: {error}") from None
        return SourceEvent(number, event.user_id.encode(), value, event.ts_ms)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UserEvent).decode


def choice(column: str, value: str, of: Mapping[str, T]) -> T:
    """What a value stands for. Raises `RowError` for a value that isn't among them."""
    try:
        return of[value]
    except KeyError:
        raise RowError(f"{column} {value[:50]!r}: must be one of {', '.join(of)}") from None


def _split(line: bytes) -> list[str]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise RowError(f"not UTF-8 at byte {error.start} of the line") from None
    if '"' not in text:
        return text.split(",")
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise RowError(f"quoting: {error}") from None
