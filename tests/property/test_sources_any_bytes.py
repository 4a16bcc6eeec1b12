"""No content of a file makes a source raise anything but a clear `SourceError` about its compression."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from streams.contracts.catalog import CatalogItem
from streams.contracts.events import UserEvent
from streams.replay.sources import SourceError, SourceEvent, open_source

HEADERS = {
    "jsonl": b"",
    "rees46": b"event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n",
    "taobao": b"ts,user_id,item_id,category_id,event\n",
}
ROWS = [
    b"2019-10-01 00:00:00 UTC,view,77,2100,,acme,35.79,501,s-1",
    b"1511539217,1002166,4274395,1615537,pv",
    b'{"type":"view","event_id":"e1","user_id":"u1","ts_ms":1000,"item_id":"i1"}',
    b'{"item_id":"i1"}',
    b'"',
    b"\x00",
    b"\xff\xfe",
    b"\r",
    b",",
    b"{",
]
lines = st.lists(st.one_of(st.sampled_from(ROWS), st.binary(max_size=40)), max_size=12).map(b"\n".join)
reading = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def read(path: Path, source: str, content: bytes) -> None:
    path.write_bytes(content)
    numbers = []
    for row in open_source(f"{source}:{path}"):
        numbers.append(row.line)
        if isinstance(row, SourceEvent):
            record = msgspec.json.decode(row.value, type=UserEvent if row.topic == "events" else CatalogItem)
            assert row.key.decode() == (record.item_id if isinstance(record, CatalogItem) else record.user_id)
            json.loads(row.value.decode())
        else:
            assert row.reason
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("source", HEADERS)
@reading
@given(content=st.one_of(lines, st.binary(max_size=200)), headed=st.booleans())
def test_any_content_gives_rows_and_faults_only(tmp_path: Path, source: str, content: bytes, headed: bool) -> None:
    whole = HEADERS[source] + content if headed else content
    if not whole.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
        read(tmp_path / "log", source, whole)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
@reading
@given(content=lines, at=st.integers(0, 400), flipped=st.integers(1, 255), cut=st.integers(0, 30))
@example(content=b"", at=400, flipped=1, cut=1)
def test_damaged_compression_gives_rows_or_a_source_error_that_names_the_file(
    tmp_path: Path, compress: object, content: bytes, at: int, flipped: int, cut: int
) -> None:
    packed = bytearray(compress(HEADERS["taobao"] + content))  # type: ignore[operator]
    if 4 <= at < len(packed):
        packed[at] ^= flipped
    path = tmp_path / "log"
    try:
        read(path, "taobao", bytes(packed[: len(packed) - cut]))
        message = f"{path}: byte"
    except SourceError as error:
        message = str(error)
    assert str(path) in message
    assert "byte" in message
