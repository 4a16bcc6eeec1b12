"""Records of `clickstream.rejected.v1`: bad input, whole, with the reason.

In three parts (failure, processor, payload) like Snowplow's failed events.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from streams.contracts.bounds import Count, Offset, TimeMs
from streams.contracts.identity import Seq

MAX_KEPT_BYTES = 65_536
"""Longer originals are cut to this, with their length and SHA-256."""


class RejectCode(StrEnum):
    """Why. An enum, since a decoder's message may quote text of an attacker: never a label, never a log key."""

    TOO_LARGE = "too_large"
    TOO_DEEP = "too_deep"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    NON_FINITE = "non_finite"
    UNKNOWN_TYPE = "unknown_type"
    INVALID_FIELD = "invalid_field"
    KEY_MISMATCH = "key_mismatch"
    FROM_FUTURE = "from_future"
    EMPTY = "empty"


class Failure(Struct, frozen=True, kw_only=True, gc=False):
    """`path` is a JSON path (`$.price_minor`), `$` for the whole record."""

    code: RejectCode
    path: str
    message: Annotated[str, Meta(max_length=512)]


class Processor(Struct, frozen=True, kw_only=True, gc=False):
    name: str
    version: str


class Payload(Struct, frozen=True, kw_only=True):
    """The record as it came; `data`, `key` and header values are base64 in JSON. A null value has `data` null."""

    data: bytes | None
    truncated: bool
    length: Count
    sha256: str
    key: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Origin(Struct, frozen=True, kw_only=True, gc=False):
    topic: str
    epoch: int
    partition: int
    offset: Offset
    arrival_ms: TimeMs


class Rejected(Struct, frozen=True, kw_only=True):
    """A dead letter. `attempt` counts from 1 how often this record was tried, replays included."""

    id: str
    seq: Seq
    failure: Failure
    processor: Processor
    payload: Payload
    origin: Origin
    attempt: Annotated[int, Meta(ge=1)]
