"""A record as it came from the log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Record(NamedTuple):
    """One record of one partition. `arrival_ms`: the record's own timestamp, stamped by the broker."""

    offset: int
    arrival_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
