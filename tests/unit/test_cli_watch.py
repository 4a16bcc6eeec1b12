"""How outputs look in a terminal and in a pipe."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from streams.cli import watch as command
from streams.contracts.identity import Cause, Seq
from streams.contracts.outputs import Conversion, ModelRef, Recommendations, RecommendedItem
from streams.replay.watch import Output, Seen

_CAUSE = Cause("clickstream.events.v1", 1, 0, 7, "e7")
_CONVERSION = Conversion(
    id="x", seq=Seq(7, 0), user_id="alice", session=1, ts_ms=1_767_571_200_000, cause=_CAUSE,
    model=ModelRef("conversion", "v3"), catalog_offset=0, degraded=False, arm="", item_id="mixer", touch_id="e7",
    probability=0.0421, horizon_ms=7 * 86_400_000, factors=(),
)  # fmt: skip
_ITEM = RecommendedItem(
    item_id="bowl", rank=1, score=1.0, source="walk", reason="also_viewed", because="mixer", propensity=1.0
)
_LIST = Recommendations(
    id="y", seq=Seq(7, 1), user_id="alice", session=1, ts_ms=1_767_571_200_000, cause=_CAUSE,
    model=ModelRef("", ""), catalog_offset=0, degraded=True, arm="", items=(_ITEM,),
)  # fmt: skip


def _output(topic: str, value: bytes | None, offset: int = 0) -> Output:
    return Output(topic, 0, offset, 1_767_571_200_000, b"alice", value)


def test_a_conversion_shows_item_probability_and_model() -> None:
    row = command.row_of(_output("shop.conversions.v1", msgspec.json.encode(_CONVERSION)))
    assert row == ("2026-01-05T00:00:00", "alice", "conversion", "mixer", " 4.2100% within 7 d", "conversion v3")


def test_recommendations_show_their_items_reason_and_that_they_are_degraded() -> None:
    row = command.row_of(_output("recommendations.v1", msgspec.json.encode(_LIST)))
    assert row[2:] == ("recommended", "bowl", "1 items, first: also_viewed", " (degraded)")


@pytest.mark.parametrize("value", [b"{torn", b"", b'{"probability":2}', None, b"\xff\xfe"])
def test_a_record_that_cannot_be_read_is_shown_as_it_is(value: bytes | None) -> None:
    for topic in ("conversions.v1", "recommendations.v1", "training.examples.v1"):
        row = command.row_of(_output(topic, value))
        assert row[2] == topic
        assert row[4] == ("(removed)" if value is None else value.decode("utf-8", "replace"))


def test_json_lines_are_the_records_byte_for_byte(capsys: pytest.CaptureFixture[str]) -> None:
    values = [msgspec.json.encode(_CONVERSION), None, b'{"a":1}', b'{"b":2}']

    def outputs() -> Iterator[Output | None]:
        yield None
        yield from (_output("conversions.v1", value) for value in values)

    command._print_lines(outputs(), limit=3)
    assert capsys.readouterr().out.encode() == values[0] + b"\nnull\n" + b'{"a":1}\n'  # type: ignore[operator]


def test_plain_rows_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    output = _output("conversions.v1", msgspec.json.encode(_CONVERSION))
    command._print_rows(iter([None, output, output]), limit=None)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("2026-01-05T00:00:00  alice  conversion  mixer")


def test_repeats_are_those_not_larger_than_the_largest_of_their_partition() -> None:
    seen = Seen()

    def show(offset: int, index: int, *, partition: int = 0, epoch: int = 1) -> bool:
        value = msgspec.json.encode({"seq": [offset, index], "cause": msgspec.structs.replace(_CAUSE, epoch=epoch)})
        return seen.is_new(Output("conversions.v1", partition, 0, 0, b"u", value))

    assert [show(1, 0), show(1, 1), show(1, 0), show(1, 1), show(0, 9)] == [True, True, False, False, False]
    assert show(1, 1, partition=1)
    assert show(0, 0, epoch=2)
    assert not show(9, 0, epoch=1)
    assert seen.duplicates == 4


def test_records_without_a_sequence_number_are_all_shown() -> None:
    seen = Seen()
    for value in (None, b"{}", b"{torn", b"{}"):
        assert seen.is_new(_output("models.snapshots.v1", value))


@pytest.mark.parametrize("text", ["rejected", "clickstream.rejected", "clickstream.rejected.v1"])
def test_a_topic_may_be_named_in_short(text: str) -> None:
    assert command._topic(text).value == "clickstream.rejected.v1"
