"""What the fold really sends is what the schemas and the table of topics promise."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import jsonschema_rs
import msgspec
from hypothesis import HealthCheck, given, settings

from streams.contracts import schemas
from streams.contracts.topics import BY_NAME, Name
from streams.testing import MemoryEngine, MemoryLog
from streams.testing.strategies import logs

VALIDATORS = {
    topic.name: jsonschema_rs.validator_for(schemas.schema(topic)) for topic in BY_NAME.values() if topic.record
}
CLOUDEVENTS = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type"}


def test_every_record_keeps_its_schema() -> None:
    sent: Counter[Any] = Counter()

    @settings(max_examples=80, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(logs())
    def check(log: MemoryLog) -> None:
        engine = MemoryEngine(log=log)
        engine.batch()
        for topic, outputs in engine.outputs.items():
            for output in outputs:
                record = json.loads(output.value)
                VALIDATORS[topic].validate(record)
                assert (
                    msgspec.json.encode(msgspec.json.decode(output.value, type=BY_NAME[topic].record)) == output.value
                )
                headers = dict(output.headers)
                assert headers.keys() == CLOUDEVENTS
                assert headers["ce_id"] == record["id"].encode()
                kind = record["id"].split(":")[4]
                assert headers["ce_type"] == f"clickwake.{kind}.v1".encode()
                if topic is not Name.REJECTED:
                    assert output.key is not None
                    assert record.get("user_id", output.key.decode()) == output.key.decode()
                sent[kind] += 1

    check()
    assert sent.keys() == {"conversion", "recommendations", "outcome", "next_item", "rejected"}
    assert min(sent.values()) > 20
