"""The example of a subscriber reads real outputs, drops what was sent twice and keeps the latest list of each user."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Producer
from engine_driver import Engine, Sent

from streams.contracts.topics import Name
from streams.demo.feed import OPTIONS, catalog_rows
from streams.simulator import Shop

_EXAMPLE = Path(__file__).parents[2] / "deploy/subscribers/kafka_python_latest.py"


def _run(engine: Engine, *args: str) -> tuple[list[dict[str, Any]], dict[str, int]]:
    command = [sys.executable, str(_EXAMPLE), engine.bootstrap, "--prefix", engine.kafka.topic_prefix, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    *lists, counted = map(json.loads, done.stdout.splitlines())
    return lists, counted


def _repeat(engine: Engine, partition: int, count: int) -> None:
    """The last outputs of a partition once more, byte for byte, as a worker sends them after a crash."""
    records = engine.read(Name.RECOMMENDATIONS)[partition][-count:]
    assert len(records) == count
    producer = Producer({"bootstrap.servers": engine.bootstrap, "enable.idempotence": True})
    for record in records:
        producer.produce(engine.topic(Name.RECOMMENDATIONS), record.value, record.key, partition=partition)
    assert producer.flush(20) == 0


@pytest.mark.broker
def test_repeats_are_dropped_and_the_latest_list_of_each_user_is_kept(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(partitions=2)
    shop = Shop(msgspec.structs.replace(OPTIONS, bad=0.0), intercept=-5.0)
    engine.send((Sent(row.key, row.value) for row in catalog_rows(shop)), Name.CATALOG)  # type: ignore[union-attr]
    events = (arrival for arrival in shop.stream() if arrival.kind == "event")
    engine.send(Sent(arrival.key, arrival.value) for arrival in islice(events, 600))
    engine.run("score")
    engine.run("learn")  # until something is learned, lists are empty
    engine.send(Sent(arrival.key, arrival.value) for arrival in islice(events, 200))
    engine.run("score")
    written = engine.read(Name.RECOMMENDATIONS)
    expected: dict[str, list[str]] = {}
    for records in written.values():
        for record in records:
            output = json.loads(record.value or b"")
            expected[output["user_id"]] = [item["item_id"] for item in output["items"]]
    total = sum(map(len, written.values()))
    assert total > 100
    assert any(expected.values()), "some list must have items, or nothing is proven"
    for partition in written:
        _repeat(engine, partition, 20)

    lists, counted = _run(engine, "--group", f"{engine.kafka.topic_prefix}all", "--timeout", "6")
    assert counted == {"new": total, "duplicates": 40, "users": len(expected)}
    assert {one["user_id"]: one["items"] for one in lists} == expected

    lists, counted = _run(engine, "--group", f"{engine.kafka.topic_prefix}few", "--limit", "7")
    assert (len(lists), counted["new"]) == (7, 7)


def test_the_example_is_short_and_needs_nothing_of_ours() -> None:
    text = _EXAMPLE.read_text()
    assert len(text.splitlines()) < 80
    assert "streams" not in text.replace("clickstream", "")
