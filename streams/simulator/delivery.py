"""The way from the shop to the log: delays, events sent twice and, on request, malformed records."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import msgspec

from streams.simulator.draws import Quantiles, Uniform
from streams.simulator.happenings import Happening
from streams.simulator.items import HOUR_MS

_MINUTE_MS = 60_000
_DAY_MS = 24 * HOUR_MS

ON_TIME_MS = Quantiles((0.0, 20), (0.5, 250), (0.9, 1_500), (1.0, 8_000))
LATE_MS = Quantiles((0.0, 30_000), (0.5, 4 * _MINUTE_MS), (0.9, 20 * _MINUTE_MS), (0.97, 2 * HOUR_MS), (1.0, _DAY_MS))
RESENT_MS = Quantiles((0.0, 5), (0.7, 5_000), (0.95, 5 * _MINUTE_MS), (0.99, HOUR_MS), (1.0, 12 * HOUR_MS))
"""Between the first arrival and the second one of an event sent twice."""

FAR_AHEAD_MS = 30 * _DAY_MS

Planted = Literal["duplicate", "truncated", "wrong_type", "key_mismatch", "from_future"]
FAULTS: tuple[Planted, ...] = ("truncated", "wrong_type", "key_mismatch", "from_future")


class Arrival(NamedTuple):
    """A record as it reaches the log.

    arrival_ms         when; never before the event itself
    kind               topic of the record
    key, value         user id and event, or item id and catalogue item; `value` is JSON of the contract
    touch_probability  truth, never in `value`: the probability that this touch converts within 7 days. None if the
                       record is no touch, and at the second arrival of one
    planted            None for a good record, "duplicate" for a second arrival, else what is wrong with it on purpose
    """

    arrival_ms: int
    kind: Literal["event", "catalog"]
    key: bytes
    value: bytes
    touch_probability: float | None = None
    planted: Planted | None = None


class Delivery:
    """Turns events into arrivals. Draws only from the `uniform` it is given."""

    def __init__(self, duplicates: float, late: float, bad: float, uniform: Uniform) -> None:
        self._duplicates = duplicates
        self._late = late
        self._bad = bad
        self._uniform = uniform
        self._encode = msgspec.json.Encoder().encode

    def arrivals(self, happening: Happening) -> Iterator[Arrival]:
        """The arrivals of one event, not in order: the first one, its repeat if any, and a malformed record if any."""
        uniform = self._uniform
        event, touch_probability = happening
        key, value = event.user_id.encode(), self._encode(event)
        underway = LATE_MS if uniform() < self._late else ON_TIME_MS
        arrival_ms = event.ts_ms + int(underway(uniform()))
        yield Arrival(arrival_ms, "event", key, value, touch_probability)
        if uniform() < self._duplicates:
            yield Arrival(arrival_ms + int(RESENT_MS(uniform())), "event", key, value, None, "duplicate")
        if uniform() < self._bad:
            fault = FAULTS[int(uniform() * len(FAULTS))]
            bad_key, bad_value = _spoil(fault, key, value)
            yield Arrival(arrival_ms, "event", bad_key, bad_value, None, fault)


def _spoil(fault: Planted, key: bytes, value: bytes) -> tuple[bytes, bytes]:
    """A malformed copy of an event under an id of its own."""
    fields: dict[str, Any] = msgspec.json.decode(value)
    fields["event_id"] += f"-{fault}"
    if fault == "wrong_type":
        fields["ts_ms"] = str(fields["ts_ms"])
    elif fault == "from_future":
        fields["ts_ms"] += FAR_AHEAD_MS
    elif fault == "key_mismatch":
        key += b"-other"
    spoilt = msgspec.json.encode(fields)
    return key, spoilt[: len(spoilt) // 2] if fault == "truncated" else spoilt
