"""Bad records end whole in the dead-letter topic, whatever they are; their neighbours don't notice."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from engine_driver import Engine, Sent, assert_as_folded, event

from streams.contracts.rejected import MAX_KEPT_BYTES, RejectCode
from streams.contracts.topics import Name
from streams.ops.clock import SystemClock

pytestmark = pytest.mark.broker

_OLD_MS = 1_767_600_000_000
_HEADERS = [("trace", b"\x00\xff"), ("empty", b""), ("none", None)]


def _bad() -> dict[str, Sent]:
    """A record for every code, with its user's key."""
    body = json.loads(event("view", 0, "bad", _OLD_MS, item_id="i").value or b"")

    def with_(**fields: object) -> bytes:
        return json.dumps({**body, **fields}).encode()

    future_ms = SystemClock().now_ms() + 3_600_000
    values: dict[str, bytes | None] = {
        "too_large": with_(page="x" * (MAX_KEPT_BYTES + 1000)),
        "too_deep": b"[" * 40 + b"]" * 40,
        "not_utf8": with_(item_id="@@").replace(b"@@", b"\xff\xfe"),
        "not_json": b"{torn",
        "non_finite": with_(price_minor=0).replace(b'"price_minor": 0', b'"price_minor": NaN'),
        "unknown_type": with_(type="teleport"),
        "invalid_field": with_(price_minor=-1),
        "key_mismatch": with_(user_id="somebody else"),
        "from_future": with_(ts_ms=future_ms),
        "empty": None,
    }
    return {code: Sent(b"bad", value, _HEADERS) for code, value in values.items()}


@pytest.fixture(scope="module")
def bad() -> dict[str, Sent]:
    return _bad()


@pytest.fixture(scope="module")
def engine(new_engine: Callable[..., Engine], bad: dict[str, Sent]) -> Engine:
    """Good events with every kind of bad one between them, all in partition 0, processed."""
    engine = new_engine(2)
    records: list[Sent] = []
    for number, record in enumerate(bad.values()):
        records.append(event("view", number, "good", _OLD_MS + number, item_id=f"i{number}"))
        records.append(record)
    records.append(event("view", 99, "good", _OLD_MS + 99, item_id="last"))
    rng = random.Random(3)
    records.extend(Sent(None, rng.randbytes(rng.randrange(1, 200))) for _ in range(50))
    engine.send([record._replace(partition=0) for record in records])
    engine.run()
    return engine


def _letters(engine: Engine) -> list[dict[str, Any]]:
    return [json.loads(record.value or b"") for record in engine.read(Name.REJECTED)[0]]


def test_there_is_a_record_for_every_code(bad: dict[str, Sent]) -> None:
    assert set(bad) == {code.value for code in RejectCode}


def test_each_bad_record_is_kept_whole_with_its_code_key_headers_and_origin(
    engine: Engine, bad: dict[str, Sent]
) -> None:
    letters = _letters(engine)
    assert len(letters) == len(bad) + 50
    for index, (code, record) in enumerate(bad.items()):
        letter, payload = letters[index], letters[index]["payload"]
        value = record.value or b""
        assert letter["failure"]["code"] == code
        assert (letter["origin"]["partition"], letter["origin"]["offset"]) == (0, 2 * index + 1)
        assert base64.b64decode(payload["key"]) == b"bad"
        kept = [(name, None if text is None else base64.b64decode(text)) for name, text in payload["headers"]]
        assert kept == _HEADERS
        assert (payload["length"], payload["sha256"]) == (len(value), hashlib.sha256(value).hexdigest())
        assert payload["truncated"] is (code == "too_large")
        data = None if payload["data"] is None else base64.b64decode(payload["data"])
        assert data == (None if record.value is None else value[:MAX_KEPT_BYTES])
        assert letter["attempt"] == 1


def test_neighbours_of_bad_records_are_processed(engine: Engine, bad: dict[str, Sent]) -> None:
    lists = [json.loads(record.value or b"") for record in engine.read(Name.RECOMMENDATIONS)[0]]
    assert [output["cause"]["offset"] for output in lists] == list(range(0, 2 * len(bad) + 1, 2))
    ledger = engine.ledgers()[0]
    assert (ledger.events, ledger.rejected) == (len(bad) + 1, len(bad) + 50)
    assert_as_folded(engine)


@pytest.mark.parametrize("place", ["value", "key", "headers", "traceparent"])
def test_a_record_as_large_as_the_topic_takes_does_not_block_its_partition(
    new_engine: Callable[..., Engine], place: str
) -> None:
    engine = new_engine(1)
    bulk = random.Random(4).randbytes(2 * 1024 * 1024 - 2000)
    good = event("view", 1, "good", _OLD_MS, item_id="i")
    large = {
        "value": Sent(b"k", bulk),
        "key": Sent(bulk, b"{torn"),
        "headers": Sent(b"k", b"{torn", [("h", bulk)]),
        "traceparent": good._replace(headers=[("traceparent", bulk)]),
    }[place]
    engine.send([large, event("view", 2, "good", _OLD_MS + 1, item_id="j")])
    engine.run()
    ledger = engine.ledgers()[0]
    assert ledger.applied == 1
    assert ledger.events + ledger.rejected == 2
    assert json.loads(engine.read(Name.CONVERSIONS)[0][-1].value or b"")["cause"]["offset"] == 1
