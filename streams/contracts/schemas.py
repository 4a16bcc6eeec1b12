"""JSON Schema (2020-12) of each topic's records, generated from the table and committed beside it.

    python -m streams.contracts.schemas        # writes them anew after a change of a struct

A schema says what this program writes and reads. It does not forbid unknown fields: whoever reads a record ignores
those he doesn't know, so that fields may be added.
"""

from __future__ import annotations

from inspect import cleandoc
from pathlib import Path
from typing import Any

import msgspec

from streams.contracts.topics import TOPICS, Topic

FOLDER = Path(__file__).with_name("schemas")


def schema(topic: Topic) -> dict[str, Any]:
    """The schema of a topic's records; the parts that it refers to are in its `$defs`.

    Raises:
        ValueError: records of the topic are not JSON.
    """
    if topic.record is None:
        raise ValueError(f"{topic.name} has no JSON records; its format is private to the workers")
    generated = msgspec.json.schema(topic.record)
    for part in generated["$defs"].values():
        if "description" in part:
            part["description"] = cleandoc(part["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:clickwake:{topic.name}",
        "title": topic.name.value,
        "description": f"{topic.purpose}; the record's key: {topic.key}",
        **generated,
    }


def path(topic: Topic) -> Path:
    """Where the schema of a topic is kept."""
    return FOLDER / f"{topic.name}.json"


def render(topic: Topic) -> str:
    """The text of the file."""
    return msgspec.json.format(msgspec.json.encode(schema(topic), order="sorted"), indent=2).decode() + "\n"


def write() -> list[Path]:
    """Write all schemas; returns their files."""
    FOLDER.mkdir(exist_ok=True)
    written = []
    for topic in TOPICS:
        if topic.record is not None:
            path(topic).write_text(render(topic), encoding="utf-8")
            written.append(path(topic))
    return written


if __name__ == "__main__":
    for file in write():
        print(file)
