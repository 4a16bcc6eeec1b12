"""What a source yields, and what it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple, Protocol

Topic = Literal["events", "catalog"]


class SourceEvent(NamedTuple):
    """A row that was read. `value` is JSON of the contract of its topic, `key` the user or item id.

    `line` counts from 1, the header included. `ts_ms` is the timestamp of the record: its arrival where the source
    knows it, else the event's own time.
    """

    line: int
    key: bytes
    value: bytes
    ts_ms: int
    topic: Topic = "events"


class SourceFault(NamedTuple):
    """A row that can't be read, and why. It is refused, never guessed at, and the rows after it go on."""

    line: int
    reason: str


Row = SourceEvent | SourceFault


class SourceError(Exception):
    """The source as a whole can't be read: no such format or file, broken compression. Says where, and what to do."""


class Source(Protocol):
    """Rows in the order of the source; each iteration starts anew, in memory that does not grow with the rows."""

    @property
    def total_bytes(self) -> int | None:
        """Size as stored, compressed if it is; None where there is no such size."""

    @property
    def bytes_read(self) -> int:
        """How much of `total_bytes` the running iteration has read; the bytes of the values where there is no size."""

    def __iter__(self) -> Iterator[Row]:
        """Raises `SourceError` when the source can't be read on."""
