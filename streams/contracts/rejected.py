"""Records of `clickstream.rejected.v1`: bad input, whole, with the reason.

In three parts (failure, processor, payload) like Snowplow's failed events.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from streams.contracts.bounds import Count, Offset, TimeMs
from streams.contracts.identity import Seq

MAX_KEPT_BYTES = 65_536
"""Of value, key and headers each: a dead letter must fit into a record, whatever it is about."""

MAX_KEPT_HEADERS = 100


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
    """The record as it came; `data`, `key` and header values are base64 in JSON. A null value has `data` null.

    `length` and `sha256` are of the whole value. `truncated`: value or key are cut, or headers left out.
    """

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


def preserve(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> Payload:
    """A record's payload, cut to MAX_KEPT_BYTES of value, of key and of headers (the first that fit)."""
    room, kept_headers = MAX_KEPT_BYTES, list[tuple[str, bytes | None]]()
    for name, header in headers:
        room -= len(name) + len(header or b"")
        if room < 0 or len(kept_headers) == MAX_KEPT_HEADERS:
            break
        kept_headers.append((name, header))
    value_cut, key_cut = len(value or b"") > MAX_KEPT_BYTES, len(key or b"") > MAX_KEPT_BYTES
    return Payload(
        data=None if value is None else value[:MAX_KEPT_BYTES],
        truncated=value_cut or key_cut or len(kept_headers) < len(headers),
        length=len(value or b""),
        sha256=sha256(value or b"").hexdigest(),
        key=None if key is None else key[:MAX_KEPT_BYTES],
        headers=tuple(kept_headers),
    )
