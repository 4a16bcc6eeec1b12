"""The fold of a partition: what an event causes, on which topic, under which id."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from streams import scoring
from streams.contracts.events import AddToCart, Consent, EraseUser, Purchase, Tick, View
from streams.contracts.examples import NextItem, Outcome
from streams.contracts.identity import Source
from streams.contracts.topics import BY_NAME, Name
from streams.features import view as features
from streams.ingest import Record
from streams.scoring import PartitionFold
from streams.testing import COMMIT, DUPLICATE, LATE, MemoryEngine, MemoryLog, echo_models
from streams.testing.engine import Instruction
from streams.testing.strategies import START_MS

DAY_MS = 86_400_000
MAX_RECORD_BYTES = int(BY_NAME[Name.REJECTED].config["max.message.bytes"])


def event(
    kind: type[Any], number: int, at_ms: int = 0, item: str | None = "i1", user: str = "ann", **fields: Any
) -> Any:
    if item is not None:
        fields["item_id"] = item
    return kind(event_id=f"e{number}", user_id=user, ts_ms=START_MS + at_ms, **fields)


def after(*script: Instruction) -> MemoryEngine:
    engine = MemoryEngine()
    engine.run(script)
    return engine


def sent(engine: MemoryEngine, topic: Name) -> list[dict[str, Any]]:
    return [json.loads(value) for value in engine.values(topic)]


def test_a_view_gives_a_prediction_a_list_and_an_example() -> None:
    engine = after(event(View, 0, category="c", brand="b"))
    (conversion,), (listed,) = sent(engine, Name.CONVERSIONS), sent(engine, Name.RECOMMENDATIONS)
    assert conversion["id"] == "clickstream.events.v1:1:0:0:conversion:0"
    assert conversion["touch_id"] == "clickstream.events.v1:1:0:0:touch:0"
    assert conversion["seq"] == listed["seq"] == [0, 0]
    assert conversion["cause"] == {
        "topic": "clickstream.events.v1",
        "epoch": 1,
        "partition": 0,
        "offset": 0,
        "event_id": "e0",
    }
    assert not conversion["degraded"]
    (example,) = engine.examples
    assert isinstance(example, NextItem)
    assert (example.prefix, example.item_id, example.category, example.brand) == ((), "i1", "c", "b")


def test_a_cart_gives_a_prediction_and_no_list() -> None:
    engine = after(event(AddToCart, 0))
    assert len(sent(engine, Name.CONVERSIONS)) == 1
    assert not sent(engine, Name.RECOMMENDATIONS)


def test_a_purchase_gives_nothing_until_its_touch_is_due() -> None:
    engine = after(event(View, 0), event(Purchase, 1, 5_000))
    assert len(engine.examples) == 1
    engine.run([Tick(ts_ms=START_MS + 7 * DAY_MS - 1)])
    assert len(engine.examples) == 1
    engine.run([Tick(ts_ms=START_MS + 7 * DAY_MS)])
    outcome = engine.examples[-1]
    assert isinstance(outcome, Outcome)
    assert (outcome.label, outcome.delay_ms, outcome.ts_ms) == (1, 5_000, START_MS + 7 * DAY_MS)
    assert outcome.seq.offset == 3
    assert outcome.feature_schema == features.SCHEMA
    assert len(features.unpack(outcome.features)) == len(features.FEATURES)


def test_a_later_prediction_for_the_same_touch_has_its_id() -> None:
    engine = after(event(View, 0), event(View, 1, 1_000, "i2"), event(AddToCart, 2, 2_000), event(View, 3, 2 * DAY_MS))
    touch_ids = [record["touch_id"].split(":")[3] for record in sent(engine, Name.CONVERSIONS)]
    assert touch_ids == ["0", "1", "0", "3"]
    assert engine.ledger.touches == 3


def test_a_late_view_is_predicted_without_a_touch() -> None:
    engine = after(event(View, 0, DAY_MS), LATE(DAY_MS // 2), event(View, 1, DAY_MS, "i2"))
    assert sent(engine, Name.CONVERSIONS)[1]["touch_id"] == ""
    assert (engine.ledger.late, engine.ledger.touches) == (1, 1)
    assert len(engine.examples) == 1


def test_a_bot_is_served_and_teaches_nothing() -> None:
    engine = after(event(View, 0, user_agent="Googlebot/2.1"))
    assert len(sent(engine, Name.CONVERSIONS)) == 1
    assert engine.examples == []
    assert engine.ledger.touches == 0


def test_who_refuses_is_served_from_the_session_and_teaches_nothing() -> None:
    engine = after(event(Consent, 0, item=None, granted=False), event(View, 1, 1), event(View, 2, 2, "i2"))
    assert len(sent(engine, Name.RECOMMENDATIONS)) == 2
    assert sent(engine, Name.RECOMMENDATIONS)[1]["items"][0]["because"] == "i2"
    assert engine.examples == []


def test_refusing_gives_up_the_touches_that_wait() -> None:
    engine = after(event(View, 0), event(Consent, 1, 1, None, granted=False), Tick(ts_ms=START_MS + 8 * DAY_MS))
    assert (engine.ledger.cut, engine.ledger.matured) == (1, 0)
    assert not [example for example in engine.examples if isinstance(example, Outcome)]


def test_erasing_forgets_all_but_the_guard() -> None:
    engine = after(event(View, 0, category="c"), event(EraseUser, 1, 1, None))
    ann = engine.users["ann"]
    assert (ann.applied, ann.epoch) == (1, 1)
    assert msgspec.structs.replace(ann, applied=-1, epoch=0) == msgspec.convert([], type(ann))
    assert (engine.ledger.cut, engine.ledger.events) == (1, 2)


def test_a_repeat_of_the_producer_counts_once() -> None:
    engine = after(event(View, 0), DUPLICATE(0), COMMIT, DUPLICATE(0), DUPLICATE(1))
    assert len(sent(engine, Name.CONVERSIONS)) == 1
    assert (engine.ledger.events, engine.ledger.duplicates) == (1, 3)
    assert engine.users["ann"].profile.session.events == 1


def test_event_time_moves_the_watermark_and_never_back() -> None:
    engine = after(event(View, 0, 1_000), LATE(900), event(View, 1, 2_000, user="bo"))
    assert engine.committed.watermark_ms == START_MS + 1_100
    engine.run([LATE(DAY_MS), event(View, 2, 3_000, user="bo")])
    assert engine.committed.watermark_ms == START_MS + 1_100


def test_without_models_outputs_say_that_they_are_degraded() -> None:
    models = echo_models()
    none_yet = models._replace(
        conversion_ref=msgspec.structs.replace(models.conversion_ref, version=""),
        retrieval_ref=msgspec.structs.replace(models.retrieval_ref, version=""),
        retrieval=None,
    )
    engine = MemoryEngine(none_yet)
    engine.run([event(View, 0)])
    assert sent(engine, Name.CONVERSIONS)[0]["degraded"]
    assert sent(engine, Name.RECOMMENDATIONS)[0]["degraded"]
    assert sent(engine, Name.RECOMMENDATIONS)[0]["items"] == []


def test_state_depends_on_the_log_and_not_on_the_models() -> None:
    script = [event(View, n, n * DAY_MS, f"i{n % 3}", category="c") for n in range(20)]
    plain, other = MemoryEngine(), MemoryEngine(echo_models()._replace(retrieval=None, catalog_offset=7, arm="b"))
    plain.run(script)
    other.run(script)
    assert plain.store == other.store
    assert plain.values(Name.EXAMPLES) == other.values(Name.EXAMPLES)
    assert plain.values(Name.CONVERSIONS) != other.values(Name.CONVERSIONS)


# --- headers and sizes ----------------------------------------------------------------------------------------------


def outputs_of(record: Record) -> list[Any]:
    return PartitionFold(Source(Name.EVENTS, 1, 0), lambda _: None).apply([record], echo_models()).outputs


def test_a_trace_goes_on_in_the_outputs() -> None:
    value = msgspec.json.encode(event(View, 0))
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    traced = outputs_of(Record(0, START_MS, b"ann", value, [("other", b"1"), ("traceparent", trace)]))
    assert [dict(output.headers).get("traceparent") for output in traced] == [trace, trace, None]
    untraced = outputs_of(Record(0, START_MS, b"ann", value, [("traceparent", None)]))
    assert all("traceparent" not in dict(output.headers) for output in untraced)


def test_outputs_fit_into_a_record_whatever_came_with_the_event() -> None:
    """Else one hostile record would stop the worker again and again."""
    value = msgspec.json.encode(event(View, 0))
    huge, hostile = b"x" * (2 * 1024 * 1024), [(f"h{n}", None) for n in range(150_000)]
    for record in (
        Record(0, START_MS, b"ann", value, [("traceparent", huge)]),
        Record(0, START_MS, huge, value),
        Record(0, START_MS, b"ann", huge),
        Record(0, START_MS, b"bo", value, [("h", huge)]),
        Record(0, START_MS, b"bo", value, [("\x00" * len(huge), None)]),
        Record(0, START_MS, b"bo", value, hostile),
        Record(0, START_MS, b"bo", value, [("\x00" * 60_000, b"")]),
    ):
        outputs = outputs_of(record)
        assert outputs
        for output in outputs:
            headers = sum(len(name) + len(value) for name, value in output.headers)
            assert len(output.value) + len(output.key or b"") + headers < MAX_RECORD_BYTES // 2


def test_a_dead_letter_says_what_of_the_record_is_missing() -> None:
    for key, value, headers, truncated in (
        (b"k" * 65_536, b"v" * 65_536, [("h", b"x" * 65_535)], False),
        (b"k" * 65_537, b"v", [], True),
        (b"k", b"v" * 65_537, [], True),
        (b"k", b"v", [("a", b"1"), ("h", b"x" * 65_536)], True),
        (b"k", b"v", [("a", b"1")] * 101, True),
    ):
        (output,) = outputs_of(Record(0, START_MS, key, value, headers))
        payload = json.loads(output.value)["payload"]
        assert payload["truncated"] is truncated
        assert payload["length"] == len(value)
        assert len(payload["headers"]) == min(len(headers), 100) - (len(headers) == 2)


def test_an_attempt_that_is_no_number_counts_as_the_first() -> None:
    for header, attempt in ((b"4", 5), (b"x", 1), (b"", 1), (None, 1), (b"9999", 1), (b"-3", 1)):
        (output,) = outputs_of(Record(0, START_MS, b"ann", b"{", [("clickwake_attempt", header)]))
        assert json.loads(output.value)["attempt"] == attempt


def test_a_users_state_is_read_once_while_he_is_active() -> None:
    log, reads = MemoryLog(), []

    def stored(key: bytes) -> None:
        reads.append(key)

    for number in range(10):
        log.append(event(View, number, number))
    PartitionFold(Source(Name.EVENTS, 1, 0), stored).apply(log.records, echo_models())
    assert reads.count(b"ann") == 1


def test_a_batch_may_be_folded_before_the_one_before_it_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """What isn't stored yet is read from what is to be stored, the newest of it, even if it left the cache."""
    monkeypatch.setattr(scoring, "_CACHED_USERS", 1)
    log = MemoryLog()
    for number in range(12):
        log.append(event(View, number, number, f"i{number}", user=("ann", "bo", "cleo")[number % 3]))
    expected, store = MemoryEngine(log=log), dict[bytes, bytes]()
    expected.batch()
    fold = PartitionFold(Source(Name.EVENTS, 1, 0), store.get)
    waiting = [fold.apply(log.read(start, 4), echo_models()) for start in (0, 4, 8)]
    for effects in waiting:
        store.update(effects.states)
        fold.persisted(effects)
    assert store == expected.store
    assert [output.value for effects in waiting for output in effects.outputs if output.topic is Name.CONVERSIONS] == (
        expected.values(Name.CONVERSIONS)
    )
