"""What `decode` accepts and why it refuses: one test per code, and the values on both sides of each bound."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.contracts.bounds import MAX_MS
from streams.contracts.events import EVENT_TYPES, Tick, UserEvent, View
from streams.contracts.rejected import RejectCode
from streams.contracts.topics import Name
from streams.ingest import FUTURE_TOLERANCE_MS, Refusal, decode
from streams.ingest.decode import MAX_BYTES, MAX_DEPTH
from streams.testing import MemoryEngine, MemoryLog

NOW_MS = 1_767_571_200_000
KEY = b"ann"
VIEW: dict[str, Any] = {"type": "view", "event_id": "e1", "user_id": "ann", "ts_ms": NOW_MS, "item_id": "i1"}
EVENTS: dict[str, dict[str, Any]] = {
    "page_view": {},
    "view": {"item_id": "i1"},
    "impression": {"items": [{"item_id": "i1", "position": 0}]},
    "add_to_cart": {"item_id": "i1"},
    "remove_from_cart": {"item_id": "i1"},
    "favorite": {"item_id": "i1"},
    "purchase": {"item_id": "i1"},
    "refund": {"item_id": "i1"},
    "search": {"query": "lamp"},
    "coupon": {"coupon_id": "c1", "action": "applied"},
    "support_message": {"text": "where is it?"},
    "consent": {"granted": False},
    "erase_user": {},
}


def changed(**fields: Any) -> bytes:
    return json.dumps(VIEW | fields).encode()


def refusal(value: bytes | None, key: bytes | None = KEY, arrival_ms: int = NOW_MS) -> tuple[RejectCode, str]:
    result = decode(key, value, arrival_ms)
    assert isinstance(result, Refusal)
    assert result.message
    assert len(result.message) <= 512
    return result.code, result.path


def accepted(value: bytes, key: bytes | None = KEY, arrival_ms: int = NOW_MS) -> UserEvent:
    result = decode(key, value, arrival_ms)
    assert not isinstance(result, Refusal | Tick), result
    return result


def nested(depth: int) -> bytes:
    """A view with an unknown field, `depth` levels of brackets in all."""
    return changed(extra="HERE").replace(b'"HERE"', b"[" * (depth - 1) + b"]" * (depth - 1))


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_type_of_event_is_read(kind: str) -> None:
    event = accepted(json.dumps({"type": kind, "event_id": "e1", "user_id": "ann", "ts_ms": 5} | EVENTS[kind]).encode())
    assert event.__struct_config__.tag == kind
    assert event.ts_ms == 5


def test_all_types_are_tested_and_known() -> None:
    assert {*EVENTS, "tick"} == EVENT_TYPES


def test_a_tick_is_read_without_a_key() -> None:
    assert decode(None, b'{"type":"tick","ts_ms":7}', NOW_MS) == Tick(ts_ms=7)
    assert decode(b"", b'{"type":"tick","ts_ms":7}', NOW_MS) == Tick(ts_ms=7)


def test_unknown_fields_are_ignored_so_that_producers_may_add_some() -> None:
    accepted(changed(extra="HERE").replace(b"HERE", b"\xff"))  # not even looked at
    assert accepted(changed(colour="red", more={"a": [1]})) == accepted(changed())


def test_a_repeated_json_key_counts_with_its_last_value() -> None:
    value = changed().replace(b'"item_id": "i1"', b'"item_id": "i0", "item_id": "i1"')
    event = accepted(value)
    assert isinstance(event, View)
    assert event.item_id == "i1"


# --- one test for each code -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [None, b""])
def test_no_value_is_refused_as_empty(value: bytes | None) -> None:
    assert refusal(value) == (RejectCode.EMPTY, "$")


def test_more_than_64_kib_are_refused_as_too_large() -> None:
    padding = MAX_BYTES - len(changed(extra=""))
    assert len(changed(extra="x" * padding)) == 65_536
    accepted(changed(extra="x" * padding))
    assert refusal(changed(extra="x" * (padding + 1))) == (RejectCode.TOO_LARGE, "$")


def test_deeper_than_16_levels_is_refused_as_too_deep() -> None:
    accepted(nested(MAX_DEPTH))
    assert refusal(nested(MAX_DEPTH + 1)) == (RejectCode.TOO_DEEP, "$")
    assert refusal(b"[" * 60_000) == (RejectCode.TOO_DEEP, "$")


def test_brackets_in_strings_and_side_by_side_are_not_depth() -> None:
    accepted(changed(extra=r'[[[[[[[[[[[[[[[[[[[[ "\" [[[['))
    accepted(changed(extra=[[]] * 50))


def test_bytes_that_are_no_utf8_are_refused_as_such() -> None:
    assert refusal(changed(category="HERE").replace(b"HERE", b"\xff")) == (RejectCode.NOT_UTF8, "$")
    assert refusal(changed(item_id="HERE").replace(b"HERE", b"\xed\xa0\x80")) == (RejectCode.NOT_UTF8, "$")


@pytest.mark.parametrize("value", [b"{", b"hello", b'{"type":"view"', b"{'type':'view'}", changed() + b"x", b"\x00"])
def test_what_is_no_json_is_refused_as_such(value: bytes) -> None:
    assert refusal(value) == (RejectCode.NOT_JSON, "$")


def test_half_a_surrogate_pair_is_refused_where_it_would_be_kept() -> None:
    assert refusal(changed(item_id="HERE").replace(b"HERE", rb"\ud800"))[0] in {
        RejectCode.NOT_JSON,
        RejectCode.INVALID_FIELD,
    }


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused_as_non_finite(number: str) -> None:
    assert refusal(changed(price_minor="HERE").replace(b'"HERE"', number.encode()))[0] is RejectCode.NON_FINITE


@pytest.mark.parametrize("kind", ["sneeze", "VIEW", ""])
def test_a_type_that_is_not_known_is_refused_as_such(kind: str) -> None:
    assert refusal(changed(type=kind)) == (RejectCode.UNKNOWN_TYPE, "$.type")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"type": 5}, "$.type"),
        ({"type": None}, "$.type"),
        ({"item_id": ""}, "$.item_id"),
        ({"item_id": "x" * 129}, "$.item_id"),
        ({"item_id": 7}, "$.item_id"),
        ({"ts_ms": -1}, "$.ts_ms"),
        ({"ts_ms": MAX_MS + 1}, "$.ts_ms"),
        ({"ts_ms": 1.5}, "$.ts_ms"),
        ({"ts_ms": "2026"}, "$.ts_ms"),
        ({"price_minor": -1}, "$.price_minor"),
        ({"price_minor": 10**12 + 1}, "$.price_minor"),
        ({"price_minor": 10**40}, "$.price_minor"),
        ({"currency": "eur"}, "$.currency"),
        ({"channel": "fax"}, "$.channel"),
        ({"consent": "yes"}, "$.consent"),
        ({"category": "x" * 513}, "$.category"),
        ({"type": "add_to_cart", "quantity": 0}, "$.quantity"),
        ({"type": "add_to_cart", "quantity": 100_001}, "$.quantity"),
        ({"type": "impression", "items": []}, "$.items"),
        ({"type": "impression", "items": [{"item_id": "a", "position": 0}, {"item_id": "b"}]}, "$.items[1]"),
        ({"type": "impression", "items": [{"item_id": "a", "position": 1001}]}, "$.items[0].position"),
        ({"type": "impression", "items": [{"item_id": "a", "position": 0}] * 201}, "$.items"),
        ({"type": "coupon", "coupon_id": "c", "action": "lost"}, "$.action"),
        ({"type": "support_message", "text": "x" * 4097}, "$.text"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused_at_its_path(fields: dict[str, Any], path: str) -> None:
    assert refusal(changed(**fields)) == (RejectCode.INVALID_FIELD, path)


@pytest.mark.parametrize("value", [b"[]", b"5", b"null", b'"view"', b"{}", b'{"type":"view"}'])
def test_json_that_is_no_event_is_an_invalid_field(value: bytes) -> None:
    assert refusal(value)[0] is RejectCode.INVALID_FIELD


@pytest.mark.parametrize(
    "fields",
    [
        {"item_id": "x" * 128},
        {"ts_ms": 0},
        {"price_minor": 0},
        {"price_minor": 10**12},
        {"type": "add_to_cart", "quantity": 100_000},
        {"type": "impression", "items": [{"item_id": "a", "position": 1000}] * 200},
        {"type": "support_message", "text": "x" * 4096},
        {"consent": None, "session_id": None, "category": None},
    ],
)
def test_values_on_their_bounds_are_accepted(fields: dict[str, Any]) -> None:
    accepted(changed(**fields))


@pytest.mark.parametrize("key", [None, b"", b"bob", b"ann ", b"\xff"])
def test_a_key_that_is_not_the_user_is_refused(key: bytes | None) -> None:
    assert refusal(changed(), key) == (RejectCode.KEY_MISMATCH, "$.user_id")


def test_the_key_is_the_user_in_utf8() -> None:
    accepted(changed(user_id="žofie"), key="žofie".encode())
    assert refusal(changed(user_id="žofie"), key="žofie".encode("iso8859_2")) == (RejectCode.KEY_MISMATCH, "$.user_id")


def test_a_tick_with_a_key_is_refused() -> None:
    assert refusal(b'{"type":"tick","ts_ms":7}', b"ann") == (RejectCode.KEY_MISMATCH, "$")


def test_more_than_5_minutes_after_arrival_is_refused_as_from_the_future() -> None:
    assert FUTURE_TOLERANCE_MS == 300_000
    accepted(changed(ts_ms=NOW_MS + 300_000))
    assert refusal(changed(ts_ms=NOW_MS + 300_001)) == (RejectCode.FROM_FUTURE, "$.ts_ms")
    assert refusal(b'{"type":"tick","ts_ms":300001}', None, 0) == (RejectCode.FROM_FUTURE, "$.ts_ms")


def test_every_code_is_reached() -> None:
    reached = {
        refusal(None)[0],
        refusal(b"x" * 65_537)[0],
        refusal(nested(17))[0],
        refusal(b"\xff")[0],
        refusal(b"{")[0],
        refusal(b"NaN")[0],
        refusal(changed(type="sneeze"))[0],
        refusal(changed(item_id=""))[0],
        refusal(changed(), b"bob")[0],
        refusal(changed(), KEY, 0)[0],
    }
    assert reached == set(RejectCode)


# --- in the fold ----------------------------------------------------------------------------------------------------


def bad_records() -> list[tuple[bytes | None, bytes | None]]:
    return [
        (KEY, None),
        (KEY, b"x" * 65_537),
        (KEY, nested(17)),
        (KEY, b"\xff"),
        (None, b"{"),
        (b"\xff\x00", b"NaN"),
        (KEY, changed(type="sneeze")),
        (KEY, changed(item_id="")),
        (b"bob", changed()),
        (KEY, changed(ts_ms=NOW_MS + 10**9)),
    ]


def test_neighbours_of_bad_records_are_not_affected() -> None:
    """The same outputs but for offsets, and the same profile, with every bad record between any two good ones."""
    good = [changed(event_id=f"e{n}", item_id=f"i{n % 3}", ts_ms=NOW_MS + n) for n in range(8)]
    clean, dirty = MemoryLog(), MemoryLog()
    clean.arrival_ms = dirty.arrival_ms = NOW_MS
    for value in good:
        clean.append_raw(KEY, value)
        dirty.append_raw(KEY, value)
        for key, bad in bad_records():
            dirty.append_raw(key, bad, [("trace", b"\xff"), ("none", None)])
    expected, engine = MemoryEngine(log=clean), MemoryEngine(log=dirty)
    expected.batch()
    engine.batch()

    def told(of: MemoryEngine) -> list[Any]:
        kept = [json.loads(value) for value in of.values(Name.CONVERSIONS)]
        return [(c["cause"]["event_id"], c["probability"], c["factors"], c["session"]) for c in kept]

    assert told(engine) == told(expected)
    assert engine.ledger.rejected == len(good) * len(bad_records())
    ours, theirs = engine.users["ann"].profile, expected.users["ann"].profile
    assert list(ours.session.items) == list(theirs.session.items)
    ours.session.items = theirs.session.items = {}  # holds offsets
    assert ours == theirs


def test_a_dead_letter_holds_the_record_as_it_came() -> None:
    import base64
    import hashlib

    log = MemoryLog()
    log.arrival_ms = NOW_MS
    value = b"y" * 70_000
    log.append_raw(b"\xff", value, [("h", b"\x00"), ("none", None), ("clickwake_attempt", b"2")])
    log.append_raw(None, None)
    engine = MemoryEngine(log=log)
    engine.batch()
    large, empty = (json.loads(letter) for letter in engine.values(Name.REJECTED))
    payload = large["payload"]
    assert base64.b64decode(payload["data"]) == value[:65_536]
    assert (payload["truncated"], payload["length"]) == (True, 70_000)
    assert payload["sha256"] == hashlib.sha256(value).hexdigest()
    assert base64.b64decode(payload["key"]) == b"\xff"
    assert payload["headers"] == [["h", "AA=="], ["none", None], ["clickwake_attempt", "Mg=="]]
    assert large["attempt"] == 3
    assert large["origin"] == {
        "topic": "clickstream.events.v1",
        "epoch": 1,
        "partition": 0,
        "offset": 0,
        "arrival_ms": NOW_MS,
    }
    assert large["failure"]["code"] == "too_large"
    assert (empty["payload"]["data"], empty["payload"]["length"], empty["attempt"]) == (None, 0, 1)
    assert engine.outputs[Name.REJECTED][0].key == b"\xff"
