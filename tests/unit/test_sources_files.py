"""Source files: formats, compression, and each way a row can be wrong, with its line."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import zstandard

from streams.replay.sources import FORMATS, Source, SourceError, SourceEvent, SourceFault, open_source
from streams.replay.sources.files import MAX_LINE_BYTES

REES46 = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
REES46_ROW = "2019-10-01 00:00:00 UTC,view,77,2100,,acme,35.79,501,s-1"
TAOBAO = "ts,user_id,item_id,category_id,event"
VIEW = '{"type":"view","event_id":"e1","user_id":"u1","ts_ms":1000,"item_id":"i1"}'
ITEM = '{"item_id":"i1","price_minor":100}'


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., list[SourceEvent | SourceFault]]:
    def read(source: str, *lines: str) -> list[SourceEvent | SourceFault]:
        path = tmp_path / "log"
        path.write_text("\n".join(lines) + "\n")
        return list(open_source(f"{source}:{path}"))

    return read


Reader = Callable[..., list[SourceEvent | SourceFault]]


def only(rows: list[SourceEvent | SourceFault]) -> dict[str, object]:
    (row,) = rows
    assert isinstance(row, SourceEvent)
    value: dict[str, object] = json.loads(row.value)
    assert row.key.decode() == value["user_id"]
    assert row.ts_ms == value["ts_ms"]
    return value


def test_a_rees46_row_becomes_an_event(rows: Reader) -> None:
    value = only(rows("rees46", REES46, REES46_ROW))
    event_id = str(value.pop("event_id"))
    assert value == {
        "type": "view",
        "user_id": "501",
        "ts_ms": 1_569_888_000_000,
        "session_id": "s-1",
        "item_id": "77",
        "category": "2100",
        "brand": "acme",
        "price_minor": 3579,
    }
    assert len(event_id) == 32
    int(event_id, 16)


def test_rees46_without_brand_session_and_price_leaves_them_out_and_takes_the_category_code(rows: Reader) -> None:
    value = only(rows("rees46", REES46, "2019-10-01 23:59:59 UTC,cart,77,2100,kids.toys,,,501,"))
    assert value["type"] == "add_to_cart"
    assert value["category"] == "kids.toys"
    assert not {"brand", "session_id", "price_minor", "currency"} & value.keys()


@pytest.mark.parametrize(
    ("text", "minor"), [("35.79", 3579), ("33.2", 3320), ("543", 54300), ("0.00", 0), ("1.10", 110), ("0.07", 7)]
)
def test_prices_are_exact(rows: Reader, text: str, minor: int) -> None:
    assert only(rows("rees46", REES46, REES46_ROW.replace("35.79", text)))["price_minor"] == minor


@pytest.mark.parametrize(
    ("wrong", "right", "reason"),
    [
        ("35.79", "nan", "price 'nan'"),
        ("35.79", "-35.79", "price '-35.79'"),
        ("35.79", "35.790", "at most two decimals"),
        ("35.79", "1e3", "price '1e3'"),
        ("35.79", "٣", "price"),
        ("35.79", "999999999999", "price_minor"),
        ("view", "viewed", "event_type 'viewed': must be one of view, cart, remove_from_cart, purchase"),
        (" UTC", "", "event_time '2019-10-01 00:00:00'"),
        ("2019-10-01", "2019-13-01", "event_time"),
        ("2019-10-01", "2101-10-01", "ts_ms"),
        ("2019-10-01", "1919-10-01", "ts_ms"),
        (",501,", ",,", "user_id"),
        (",77,", ",,", "item_id"),
        (",77,", f",{'7' * 129},", "item_id"),
        (",s-1", "", "8 columns where the header has 9"),
        (",s-1", ",s-1,x", "10 columns where the header has 9"),
        ("acme", '"acme', "quoting"),
    ],
)
def test_a_wrong_rees46_row_is_refused_with_its_line_and_the_next_one_is_read(
    rows: Reader, wrong: str, right: str, reason: str
) -> None:
    first, fault, last = rows("rees46", REES46, REES46_ROW, REES46_ROW.replace(wrong, right), REES46_ROW)
    assert isinstance(fault, SourceFault)
    assert fault.line == 3
    assert reason in fault.reason
    assert isinstance(first, SourceEvent)
    assert isinstance(last, SourceEvent)
    assert (first.line, last.line) == (2, 4)


def test_a_quoted_value_may_hold_a_comma(rows: Reader) -> None:
    assert only(rows("rees46", REES46, REES46_ROW.replace("acme", '"a, ""b"""')))["brand"] == 'a, "b"'


def test_columns_are_found_by_name(rows: Reader) -> None:
    value = only(rows("taobao", "event,item_id,category_id,user_id,ts", "buy,7,8,9,1511539217"))
    assert (value["type"], value["item_id"], value["category"], value["user_id"]) == ("purchase", "7", "8", "9")


@pytest.mark.parametrize(
    ("event", "kind"), [("pv", "view"), ("fav", "favorite"), ("cart", "add_to_cart"), ("buy", "purchase")]
)
def test_a_taobao_row_becomes_an_event(rows: Reader, event: str, kind: str) -> None:
    value = only(rows("taobao", TAOBAO, f"1511539217,1002166,4274395,1615537,{event}"))
    del value["event_id"]
    assert value == {
        "type": kind,
        "user_id": "1002166",
        "ts_ms": 1_511_539_217_000,
        "item_id": "4274395",
        "category": "1615537",
    }


@pytest.mark.parametrize(
    "row", ["1.5,1,2,3,pv", "-1,1,2,3,pv", ",1,2,3,pv", "5,1,2,3,look", "99999999999,1,2,3,pv", "5,1,2"]
)
def test_a_wrong_taobao_row_is_refused_with_its_line(rows: Reader, row: str) -> None:
    (fault,) = rows("taobao", TAOBAO, row)
    assert isinstance(fault, SourceFault)
    assert fault.line == 2


@pytest.mark.parametrize("source", ["rees46", "taobao"])
def test_without_its_header_a_table_is_one_fault_that_names_the_columns(rows: Reader, source: str) -> None:
    (fault,) = rows(source, "1,2,3,4,pv", "1,2,3,4,pv")
    assert isinstance(fault, SourceFault)
    assert fault.line == 1
    assert "the header must name the columns" in fault.reason


def test_event_ids_are_of_the_file_s_bytes_and_the_line(tmp_path: Path) -> None:
    def ids(name: str, content: bytes) -> list[str]:
        path = tmp_path / name
        path.write_bytes(content)
        return [
            json.loads(row.value)["event_id"] for row in open_source(f"rees46:{path}") if isinstance(row, SourceEvent)
        ]

    content = f"{REES46}\n{REES46_ROW}\n{REES46_ROW}\n".encode()
    first, second = ids("a", content)
    assert first != second
    assert ids("b", content) == [first, second]
    assert not {first, second} & set(ids("c", content + b"\n"))
    expected = hashlib.blake2b(hashlib.sha256(content).digest(), digest_size=16)
    expected.update((2).to_bytes(8, "big"))
    assert first == expected.hexdigest()


@pytest.mark.parametrize(
    "pack",
    [
        bytes,
        gzip.compress,
        lambda data: gzip.compress(data[:50]) + gzip.compress(data[50:]),
        lambda data: gzip.compress(data) + bytes(512),
        zstandard.compress,
        lambda data: zstandard.compress(data[:50]) + zstandard.compress(data[50:]),
    ],
    ids=["plain", "gzip", "gzip of two members", "padded gzip", "zstd", "zstd of two frames"],
)
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_compression_is_found_by_the_first_bytes(tmp_path: Path, pack: Callable[[bytes], bytes], ending: str) -> None:
    count = 20_000
    text = "".join(f"{line}{ending}" for line in [TAOBAO, *(f"{k},1,{k * k},3,pv" for k in range(count))])
    path = tmp_path / "log"
    path.write_bytes(pack(text.encode()))
    source = open_source(f"taobao:{path}")
    rows = list(source)
    assert [row.ts_ms for row in rows if isinstance(row, SourceEvent)] == [1000 * k for k in range(count)]
    assert json.loads(rows[-1].value)["item_id"] == str((count - 1) ** 2)  # type: ignore[union-attr]
    assert source.bytes_read == source.total_bytes == path.stat().st_size
    assert len(list(source)) == count


def test_the_last_line_needs_no_line_end_and_empty_lines_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{TAOBAO}\n\n1,1,1,1,pv\n\n2,1,1,1,pv")
    assert [row.line for row in open_source(f"taobao:{path}")] == [3, 5]


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_file_cut_short_gives_its_rows_and_then_a_source_error(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    text = "\n".join([TAOBAO, *(f"{k},1,{hashlib.sha256(str(k).encode()).hexdigest()},3,pv" for k in range(20_000))])
    packed = compress(text.encode())
    path = tmp_path / "log"
    path.write_bytes(packed[: len(packed) - 9])
    rows = iter(open_source(f"taobao:{path}"))
    assert sum(isinstance(row, SourceEvent) for row in islice(rows, 10_000)) == 10_000
    with pytest.raises(SourceError, match=rf"{path}: broken (gzip|zstd) .*byte {len(packed) - 9}.*ends in the middle"):
        deque(rows)


@pytest.mark.parametrize("content", [b"\x1f\x8b\x08 not gzip at all", b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff"])
def test_broken_compression_is_a_source_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"broken (gzip|zstd)"):
        list(open_source(f"jsonl:{path}"))


def test_something_else_after_the_gzip_member_is_a_source_error(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(gzip.compress(VIEW.encode() + b"\n") + b"something else")
    with pytest.raises(SourceError, match="broken gzip"):
        list(open_source(f"jsonl:{path}"))


def test_a_line_too_long_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (3 * MAX_LINE_BYTES) + b"\n" + VIEW.encode() + b"\n" + b"y" * (MAX_LINE_BYTES + 1))
    first, second, third = open_source(f"jsonl:{path}")
    assert isinstance(first, SourceFault)
    assert (first.line, second.line, third.line) == (1, 2, 3)
    assert "longer than" in first.reason
    assert isinstance(second, SourceEvent)
    assert isinstance(third, SourceFault)


def test_our_own_lines_are_passed_on_byte_for_byte_with_their_ids(rows: Reader) -> None:
    spaced = VIEW.replace(":", " : ")
    assert rows("jsonl", spaced, VIEW) == [
        SourceEvent(1, b"u1", spaced.encode(), 1000),
        SourceEvent(2, b"u1", VIEW.encode(), 1000),
    ]


def test_a_catalogue_item_among_our_own_lines_takes_the_time_of_the_event_before(rows: Reader) -> None:
    assert rows("jsonl", ITEM, VIEW, ITEM) == [
        SourceEvent(1, b"i1", ITEM.encode(), 0, "catalog"),
        SourceEvent(2, b"u1", VIEW.encode(), 1000, "events"),
        SourceEvent(3, b"i1", ITEM.encode(), 1000, "catalog"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "null",
        "{}",
        VIEW[:-5],
        VIEW.replace("view", "stare"),
        VIEW.replace("1000", '"1000"'),
        VIEW.replace('"i1"', '""'),
        '{"type":"tick","ts_ms":1}',
        '{"item_id":"i1","price_minor":-1}',
        VIEW.replace('"u1"', '"\\ud800"'),
        "[" * 100_000,
    ],
)
def test_a_line_outside_the_contract_is_refused_with_its_line(rows: Reader, line: str) -> None:
    first, fault, last = rows("jsonl", VIEW, line, VIEW)
    assert isinstance(fault, SourceFault)
    assert fault.line == 2
    assert fault.reason.startswith("not a record: ")
    assert isinstance(first, SourceEvent)
    assert isinstance(last, SourceEvent)


def test_text_that_is_not_utf_8_is_refused_even_in_a_field_nobody_reads(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(VIEW[:-1].encode() + b',"note":"\xff"}\n')
    (fault,) = open_source(f"jsonl:{path}")
    assert isinstance(fault, SourceFault)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no source: write FORMAT:PATH with FORMAT one of jsonl, rees46, taobao, simulator"),
        ("jsonl", "is no source: write FORMAT:PATH"),
        ("parque:log", "'parque:log' is no source"),
        ("kafka:clicks", "is no source"),
        ("jsonl:", "names no file"),
        ("jsonl:/no/such/file", "/no/such/file: No such file"),
        ("rees46:/", "not a file"),
        ("simulator:conversion?sead=1", "unknown option 'sead'"),
    ],
)
def test_an_address_that_can_t_be_opened_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(SourceError) as raised:
        open_source(text)
    assert message in str(raised.value)


def test_topics_are_opened_by_the_reader_that_is_handed_in() -> None:
    opened: list[tuple[str, str]] = []
    source = FORMATS["simulator"]("simulator:", "")

    def topics_reader(address: str, topic: str) -> Source:
        opened.append((address, topic))
        return source

    assert open_source("kafka:clicks", topics_reader) is source
    assert opened == [("kafka:clicks", "clicks")]


def test_the_simulator_is_a_source_of_its_catalogue_and_then_its_arrivals() -> None:
    source = open_source("simulator:conversion?events=300&users=100&items=60&seed=4")
    rows = [row for row in source if isinstance(row, SourceEvent)]
    assert [row.line for row in rows] == list(range(1, len(rows) + 1))
    assert {row.topic for row in rows[:60]} == {"catalog"}
    assert sum(row.topic == "events" for row in rows) == 300
    times = [row.ts_ms for row in rows]
    assert times == sorted(times)
    assert source.bytes_read == sum(len(row.value) for row in rows)
    assert rows == list(source)
