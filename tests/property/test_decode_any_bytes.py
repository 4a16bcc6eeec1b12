"""`decode` and the fold give a value for any bytes whatsoever."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.contracts.bounds import MAX_MS
from streams.contracts.events import Event
from streams.contracts.rejected import Rejected
from streams.contracts.topics import Name
from streams.ingest import Refusal, decode
from streams.testing import MemoryEngine, MemoryLog
from streams.testing.strategies import user_events

NOW_MS = 1_767_571_200_000
MANY = settings(max_examples=700, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SOME = settings(MANY, max_examples=120)

_encode = msgspec.json.Encoder().encode
_letter = msgspec.json.Decoder(Rejected)
keys = st.sampled_from([b"ann", b"bo", None, b"", b"\xff"])
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid event with some of its fields replaced by anything and some of its bytes by others."""
    fields: dict[str, Any] = json.loads(_encode(draw(user_events(NOW_MS, "e1"))))
    for name in draw(st.lists(st.sampled_from([*sorted(fields), "items", "price_minor", "quantity"]), max_size=2)):
        fields[name] = draw(plain)
    data = bytearray(json.dumps(fields).encode())
    for place in draw(st.lists(st.integers(0, len(data) - 1), max_size=3)):
        data[place : place + draw(st.integers(0, 2))] = draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"\\"])
        )
    return bytes(data)


def check(key: bytes | None, value: bytes | None, arrival_ms: int) -> None:
    result = decode(key, value, arrival_ms)
    if isinstance(result, Refusal):
        assert result.path.startswith("$")
        assert 0 < len(result.message) <= 512
        msgspec.json.encode(result)  # whatever it quotes can be written
    else:
        again: Event = msgspec.json.decode(_encode(result), type=Event)  # type: ignore[arg-type]
        assert again == result


@MANY
@given(keys, st.none() | st.binary(max_size=200), st.integers(0, MAX_MS))
def test_any_bytes_give_an_event_or_a_refusal(key: bytes | None, value: bytes | None, arrival_ms: int) -> None:
    check(key, value, arrival_ms)


@MANY
@given(keys, mutated())
def test_damaged_events_give_an_event_or_a_refusal(key: bytes | None, value: bytes) -> None:
    check(key, value, NOW_MS)


@MANY
@given(keys, plain)
def test_any_json_gives_an_event_or_a_refusal(key: bytes | None, value: Any) -> None:
    check(key, json.dumps(value).encode(), NOW_MS)


@SOME
@given(st.lists(st.tuples(keys, mutated()), max_size=6))
def test_every_record_is_applied_rejected_or_dropped_as_a_repeat(records: list[tuple[bytes | None, bytes]]) -> None:
    log = MemoryLog()
    log.arrival_ms = NOW_MS
    for key, value in records:
        log.append_raw(key, value)
    engine = MemoryEngine(log=log)
    engine.batch()
    ledger = engine.ledger
    assert ledger.events + ledger.rejected + ledger.duplicates + ledger.ticks == len(records)
    letters = [_letter.decode(value) for value in engine.values(Name.REJECTED)]
    assert len(letters) == ledger.rejected
    for letter in letters:
        assert (records[letter.origin.offset][0] or None) == (letter.payload.key or None)
        assert letter.payload.data == records[letter.origin.offset][1]
