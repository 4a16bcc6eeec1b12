"""CloudEvents 1.0 headers in binary mode."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.contracts.bounds import MAX_MS
from streams.contracts.headers import HeaderTemplate, rfc3339


def test_all_required_attributes_are_there_and_in_bytes() -> None:
    headers = HeaderTemplate("clickwake.conversion.v1", "/clickwake/score").build("id-1", 1_767_571_200_123)
    assert headers == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"id-1"),
        ("ce_source", b"/clickwake/score"),
        ("ce_type", b"clickwake.conversion.v1"),
        ("ce_time", b"2026-01-05T00:00:00.123Z"),
        ("content-type", b"application/json"),
    ]


def test_a_trace_is_passed_through() -> None:
    headers = HeaderTemplate("t", "/s").build("id", 0, b"00-1-2-01")
    assert headers[-1] == ("traceparent", b"00-1-2-01")


@pytest.mark.parametrize(
    ("time_ms", "text"),
    [
        (0, b"1970-01-01T00:00:00.000Z"),
        (59_999, b"1970-01-01T00:00:59.999Z"),
        (60_000, b"1970-01-01T00:01:00.000Z"),
        (MAX_MS, b"2100-01-01T00:00:00.000Z"),
    ],
)
def test_times_at_their_edges(time_ms: int, text: bytes) -> None:
    assert rfc3339(time_ms) == text


@settings(derandomize=True, deadline=None)
@given(st.integers(0, MAX_MS))
def test_a_time_reads_back_as_the_same_millisecond(time_ms: int) -> None:
    text = rfc3339(time_ms).decode()
    back = datetime.fromisoformat(text)
    assert back.tzinfo == UTC
    assert round(back.timestamp() * 1000) == time_ms
    assert len(text) == 24
