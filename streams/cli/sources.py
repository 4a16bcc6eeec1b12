"""Opens any SOURCE: files and the simulator know no Kafka, so the reader of topics is handed to them here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from streams.replay.sources import Source

HELP = "FORMAT:PATH, such as jsonl:events.jsonl.gz, rees46:2019-Oct.csv.gz, simulator:conversion or kafka:TOPIC."


def open_any(text: str, bootstrap: str) -> Source:
    """Open a SOURCE; a wrong one is wrong usage."""
    from streams.replay.sources import SourceError, open_source

    def read_topic(_: str, topic: str) -> Source:
        from streams.replay.kafka_source import KafkaSource

        return KafkaSource(bootstrap, topic)

    try:
        return open_source(text, read_topic)
    except SourceError as error:
        raise typer.BadParameter(str(error), param_hint="SOURCE") from None
