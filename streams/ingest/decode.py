"""Decode one input record, or say why it is refused.

Checks in order: size and depth before any parsing, JSON and types in one pass (msgspec), then what types can't say:
the key is the user (state of a user lives in the partition of its key) and the time is not after arrival. A repeated
JSON key counts with its last value, as in most readers.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from streams.contracts.events import EVENT_TYPES, Event, Tick
from streams.contracts.rejected import RejectCode

MAX_BYTES = 65_536
MAX_DEPTH = 16
FUTURE_TOLERANCE_MS = 5 * 60_000
"""Producers' clocks may be ahead by this much; also bounds how far one event can move the watermark."""

_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_PLACE = re.compile(r" - at `(\$[^`]*)`$")


class Refusal(msgspec.Struct, frozen=True, gc=False):
    """Why a record was refused. `path` is a JSON path; `message` may quote input, so it is never logged."""

    code: RejectCode
    path: str
    message: str


def decode(key: bytes | None, value: bytes | None, arrival_ms: int) -> Event | Refusal:
    """The event in `value`, or a refusal. Never raises for any bytes.

    Args:
        key: record key; must be the event's `user_id` in UTF-8, and absent for a tick.
        value: record value, JSON.
        arrival_ms: the record's timestamp.
    """
    if not value:
        return Refusal(RejectCode.EMPTY, "$", "the record has no value; send a JSON object")
    if len(value) > MAX_BYTES:
        return Refusal(RejectCode.TOO_LARGE, "$", f"{len(value)} bytes; at most {MAX_BYTES} are accepted")
    if value.count(b"{") + value.count(b"[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        return Refusal(RejectCode.TOO_DEEP, "$", f"nested deeper than {MAX_DEPTH} levels")
    try:
        event = _decoder.decode(value)
    except msgspec.ValidationError as error:
        return _invalid(str(error), value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _malformed(str(error), value)
    if event.ts_ms > arrival_ms + FUTURE_TOLERANCE_MS:
        ahead_s = (event.ts_ms - arrival_ms) // 1000
        return Refusal(RejectCode.FROM_FUTURE, "$.ts_ms", f"{ahead_s} s after arrival; is it in milliseconds, in UTC?")
    if isinstance(event, Tick):
        if key:
            return Refusal(RejectCode.KEY_MISMATCH, "$", "a tick belongs to no user; send it without a key")
    elif key != event.user_id.encode():
        return Refusal(RejectCode.KEY_MISMATCH, "$.user_id", "the record's key is not user_id; key records by user")
    return event


def _depth(value: bytes) -> int:
    """Nesting of brackets outside of strings."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in value:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


def _invalid(message: str, value: bytes) -> Refusal:
    found = _PLACE.search(message)
    path = found.group(1) if found else "$"
    text = message[: found.start()] if found else message
    if path == "$" and "`type`" in text:
        path = "$.type"
    code = RejectCode.UNKNOWN_TYPE if path == "$.type" and _has_other_type(value) else RejectCode.INVALID_FIELD
    if "out of range" in text and b"e" in value.lower() and _non_finite(value):
        code = RejectCode.NON_FINITE
    return Refusal(code, path, text[:512])


def _malformed(message: str, value: bytes) -> Refusal:
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Refusal(RejectCode.NOT_UTF8, "$", f"byte {error.start} is not UTF-8")
    if _non_finite(value):
        return Refusal(RejectCode.NON_FINITE, "$", "NaN and infinities are not JSON numbers")
    return Refusal(RejectCode.NOT_JSON, "$", message[:512])


def _has_other_type(value: bytes) -> bool:
    try:
        kind = msgspec.json.decode(value)["type"]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError):
        return False
    return isinstance(kind, str) and kind not in EVENT_TYPES


def _non_finite(value: bytes) -> bool:
    """True if a lenient reader finds NaN, an infinity or a number beyond float64."""
    found = False

    def note_constant(_: str) -> float:
        nonlocal found
        found = True
        return 0.0

    def note_float(text: str) -> float:
        nonlocal found
        number = float(text)
        found = found or number in (float("inf"), float("-inf"))
        return number

    try:
        parsed: Any = json.loads(value, parse_constant=note_constant, parse_float=note_float)
    except (ValueError, RecursionError):
        return found
    del parsed
    return found
