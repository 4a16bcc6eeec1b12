"""When a record is due."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.replay.produce import Pace


@given(st.integers(0, 10**9), st.integers(-(10**9), 10**12))
def test_without_a_pace_everything_is_due_at_once(index: int, elapsed_ms: int) -> None:
    assert Pace().due_s(index, elapsed_ms) == 0


@given(st.integers(0, 10**9), st.floats(0.001, 1e6))
def test_a_rate_spaces_records_evenly_whatever_the_log_says(index: int, rate: float) -> None:
    assert Pace(rate=rate).due_s(index, 12345) * rate == pytest.approx(index)


@given(st.integers(0, 10**12), st.floats(0.001, 1e6))
def test_a_speed_shrinks_the_logs_own_time(elapsed_ms: int, speed: float) -> None:
    assert Pace(speed=speed).due_s(7, elapsed_ms) * speed * 1000 == pytest.approx(elapsed_ms)


@pytest.mark.parametrize("options", [{"rate": 0}, {"speed": -1.0}, {"rate": float("nan")}, {"speed": float("inf")}])
def test_an_impossible_pace_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be above 0"):
        Pace(**options)


def test_rate_and_speed_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="not both"):
        Pace(rate=1, speed=1)
