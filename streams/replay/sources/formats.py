"""The table of formats: a SOURCE is written `FORMAT:PATH`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from streams.replay.sources import rees46, taobao
from streams.replay.sources.files import LineFile
from streams.replay.sources.jsonl import JsonLinesFile
from streams.replay.sources.rows import Source, SourceError
from streams.replay.sources.synthetic import SimulatorSource
from streams.replay.sources.table import TableFile

Opener = Callable[[str, str], Source]
"""(whole address, what follows the colon) -> source. Raises `SourceError`."""


def _jsonl(address: str, path: str) -> Source:
    return JsonLinesFile(_file(address, path))


def _rees46(address: str, path: str) -> Source:
    return TableFile(_file(address, path), rees46.COLUMNS, rees46.event)


def _taobao(address: str, path: str) -> Source:
    return TableFile(_file(address, path), taobao.COLUMNS, taobao.event)


FORMATS: Mapping[str, Opener] = MappingProxyType(
    {
        "jsonl": _jsonl,
        "rees46": _rees46,
        "taobao": _taobao,
        "simulator": SimulatorSource,
    }
)

TOPICS = "kafka"
"""The format that names a topic. Its reader is handed in by who knows Kafka."""


def open_source(text: str, topics_reader: Opener | None = None) -> Source:
    """Open `FORMAT:PATH`, e.g. `rees46:2019-Oct.csv.gz` or `simulator:conversion?seed=7`.

    `topics_reader` opens `kafka:TOPIC`. Raises `SourceError` if the format, the file or an option is unknown.
    """
    name, colon, place = text.partition(":")
    if name == TOPICS and topics_reader is not None:
        return topics_reader(text, place)
    opener = FORMATS.get(name)
    if opener is None or not (colon or name == "simulator"):
        formats = [*FORMATS, *([TOPICS] if topics_reader is not None else [])]
        raise SourceError(f"{text!r} is no source: write FORMAT:PATH with FORMAT one of {', '.join(formats)}")
    return opener(text, place)


def _file(address: str, path: str) -> LineFile:
    if not path:
        raise SourceError(f"{address!r} names no file: write {address}PATH")
    return LineFile(Path(path))
