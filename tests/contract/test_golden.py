"""Golden records of every topic are read, agree with the committed schema, and are written back as they were.

The schema is checked by an implementation that shares nothing with msgspec.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import msgspec
import pytest

from streams import user_state
from streams.contracts import schemas
from streams.contracts.events import EVENT_TYPES
from streams.contracts.rejected import RejectCode
from streams.contracts.topics import TOPICS, Name, Topic

GOLDEN = Path(__file__).parents[1] / "golden"
JSON_TOPICS = [topic for topic in TOPICS if topic.record is not None]
WITH_UNKNOWN_FIELDS = "view.with_unknown_fields"


def folder(topic: Topic) -> Path:
    name, _, version = topic.name.rpartition(".")
    return GOLDEN / name / version


def goldens(topic: Topic) -> list[Path]:
    return sorted(folder(topic).glob("*.json"))


FILES = [pytest.param(topic, file, id=f"{topic.name}/{file.stem}") for topic in JSON_TOPICS for file in goldens(topic)]


def committed(topic: Topic) -> Any:
    return json.loads(schemas.path(topic).read_text())


def is_part(part: Any, whole: Any) -> bool:
    """All that `part` says is in `whole`."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and is_part(part[key], whole[key]) for key in part)
    return bool(part == whole)


@pytest.mark.parametrize(("topic", "file"), FILES)
def test_a_golden_record_is_read_and_agrees_with_the_schema(topic: Topic, file: Path) -> None:
    record = msgspec.json.decode(file.read_bytes(), type=topic.record)
    jsonschema_rs.validator_for(committed(topic)).validate(json.loads(file.read_text()))
    encoded = msgspec.json.encode(record)
    jsonschema_rs.validator_for(committed(topic)).validate(json.loads(encoded))


@pytest.mark.parametrize(("topic", "file"), FILES)
def test_a_golden_record_is_written_back_as_it_was(topic: Topic, file: Path) -> None:
    encoded = msgspec.json.encode(msgspec.json.decode(file.read_bytes(), type=topic.record))
    assert msgspec.json.encode(msgspec.json.decode(encoded, type=topic.record)) == encoded
    original = json.loads(file.read_text())
    if file.stem == WITH_UNKNOWN_FIELDS:
        assert is_part(json.loads(encoded), original)
    else:
        assert json.loads(encoded) == original


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_every_topic_has_a_golden_file_and_json_topics_a_schema(topic: Topic) -> None:
    assert any(folder(topic).iterdir())
    assert schemas.path(topic).exists() == (topic.record is not None)


def test_every_kind_of_record_has_a_golden_file() -> None:
    for topic in JSON_TOPICS:
        kinds = {type(msgspec.json.decode(file.read_bytes(), type=topic.record)) for file in goldens(topic)}
        assert kinds == set(get_args(topic.record) or [topic.record])


def test_no_file_is_of_an_unknown_topic() -> None:
    known = {folder(topic) for topic in TOPICS}
    assert {file.parent for file in GOLDEN.rglob("*") if file.is_file()} <= {GOLDEN, *known}


# --- the committed schemas ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", JSON_TOPICS, ids=lambda topic: topic.name)
def test_the_committed_schema_is_that_of_the_code(topic: Topic) -> None:
    assert schemas.path(topic).read_text() == schemas.render(topic), "run: python -m streams.contracts.schemas"


@pytest.mark.parametrize("topic", JSON_TOPICS, ids=lambda topic: topic.name)
def test_a_schema_is_valid_json_schema_2020_12(topic: Topic) -> None:
    schema = committed(topic)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema_rs.meta.validate(schema)


def test_no_schema_is_left_over() -> None:
    assert set(schemas.FOLDER.iterdir()) == {schemas.path(topic) for topic in JSON_TOPICS}


def test_a_topic_without_json_has_no_schema() -> None:
    private = next(topic for topic in TOPICS if topic.record is None)
    with pytest.raises(ValueError, match=r"user-state.*no JSON"):
        schemas.schema(private)


def test_the_schema_names_all_event_types_and_codes() -> None:
    events = next(topic for topic in TOPICS if topic.name is Name.EVENTS)
    assert set(committed(events)["discriminator"]["mapping"]) == EVENT_TYPES
    letters = next(topic for topic in TOPICS if topic.name is Name.REJECTED)
    assert set(committed(letters)["$defs"]["RejectCode"]["enum"]) == set(RejectCode)


@pytest.mark.parametrize(
    ("change", "of"),
    [
        ({"type": "sneeze"}, "view.least"),
        ({"item_id": ""}, "view.least"),
        ({"item_id": None}, "view.least"),
        ({"ts_ms": -1}, "view.least"),
        ({"currency": "euro"}, "view"),
        ({"price_minor": 1.5}, "view"),
        ({"quantity": 0}, "add_to_cart"),
        ({"items": []}, "impression"),
        ({"action": "lost"}, "coupon"),
    ],
)
def test_schema_and_code_refuse_the_same(change: dict[str, Any], of: str) -> None:
    topic = next(topic for topic in TOPICS if topic.name is Name.EVENTS)
    record = json.loads((folder(topic) / f"{of}.json").read_text())
    validator = jsonschema_rs.validator_for(committed(topic))
    assert validator.is_valid(record)
    assert not validator.is_valid(record | change)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(record | change), type=topic.record)


# --- stored states --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file", sorted((GOLDEN / "clickwake.user-state" / "v1").glob("*.hex")), ids=lambda file: file.stem
)
def test_a_stored_state_is_read_and_written_back_to_the_byte(file: Path) -> None:
    data = bytes.fromhex(file.read_text())
    if file.stem.startswith("ledger"):
        assert user_state.encode(user_state.decode_ledger(data)) == data
    else:
        assert user_state.encode(user_state.decode_user(data)) == data
