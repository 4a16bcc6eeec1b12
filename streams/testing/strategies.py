"""Hypothesis strategies: events, logs and crash schedules of one partition. Needs hypothesis (the `test` extra).

Small alphabets, so that users come back, items repeat and purchases find touches. Times jump by what the core has rules
for: within a session, over its end, over a day, over the horizon of a label.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from streams.contracts import events
from streams.contracts.bounds import CHANNELS
from streams.testing.engine import Crash, MemoryEngine, Step
from streams.testing.log import MemoryLog

START_MS = 1_767_571_200_000  # 2026-01-05, a Monday
_MINUTE_MS, _HOUR_MS, _DAY_MS = 60_000, 3_600_000, 86_400_000

USERS = ("ann", "bo", "cleo")
ITEMS = ("i1", "i2", "i3", "i4")

steps_ms = st.one_of(
    st.integers(0, _MINUTE_MS),
    st.sampled_from([0, 29 * _MINUTE_MS, 30 * _MINUTE_MS, 31 * _MINUTE_MS, 5 * _HOUR_MS]),
    st.sampled_from([_DAY_MS, 3 * _DAY_MS, 7 * _DAY_MS - 1, 7 * _DAY_MS, 8 * _DAY_MS]),
)
"""Time from one event to the next."""

lateness_ms = st.one_of(
    st.just(0),
    st.just(0),
    st.just(0),
    st.integers(0, 2 * _MINUTE_MS),
    st.sampled_from([31 * _MINUTE_MS, 2 * _HOUR_MS, _DAY_MS, 6 * _DAY_MS, 8 * _DAY_MS, 40 * _DAY_MS]),
)
"""How late an event comes; mostly it doesn't."""

_anyone: dict[str, st.SearchStrategy[Any]] = {
    "user_id": st.sampled_from(USERS),
    "channel": st.sampled_from(CHANNELS[:2]),
    "consent": st.sampled_from([None, None, None, None, True, False]),
    "user_agent": st.sampled_from([None, None, None, None, "Mozilla/5.0", "Googlebot/2.1"]),
}
_item: dict[str, st.SearchStrategy[Any]] = {
    "item_id": st.sampled_from(ITEMS),
    "category": st.sampled_from([None, "a.b", "a.c", "d"]),
    "brand": st.sampled_from([None, "x"]),
    "price_minor": st.sampled_from([None, 0, 1_999]),
}
_shown = (events.ShownItem(item_id="i1", position=0), events.ShownItem(item_id="i2", position=1))


def _fields(**own: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(_anyone | own)


_KINDS: list[tuple[type[Any], st.SearchStrategy[dict[str, Any]]]] = [
    *[(events.View, _fields(**_item))] * 6,
    *[(events.AddToCart, _fields(**_item))] * 2,
    *[(events.Purchase, _fields(**_item))] * 3,
    (events.Favorite, _fields(**_item)),
    (events.RemoveFromCart, _fields(**_item)),
    (events.Refund, _fields(**_item)),
    (events.PageView, _fields()),
    (events.Search, _fields(query=st.just("lamp"))),
    (events.Coupon, _fields(coupon_id=st.just("c"), action=st.sampled_from(["received", "applied", "expired"]))),
    (events.SupportMessage, _fields(text=st.just("where is it?"))),
    (events.Impression, _fields(items=st.just(_shown))),
    *[(events.Consent, _fields(granted=st.booleans()))] * 2,
    (events.EraseUser, _fields()),
]
_no_events = st.sampled_from([None, b"", b"{", b'{"type":"view"}', b'{"type":"unheard"}', b"\xff"])


@st.composite
def user_events(draw: st.DrawFn, ts_ms: int, event_id: str) -> events.UserEvent:
    """Any event of one of USERS at a time."""
    kind, fields = draw(st.sampled_from(_KINDS))
    event: events.UserEvent = kind(event_id=event_id, ts_ms=ts_ms, **draw(fields))
    return event


@st.composite
def logs(draw: st.DrawFn, max_size: int = 30) -> MemoryLog:
    """A log of events, producers' repeats, ticks and records that are no events."""
    log, now_ms = MemoryLog(), START_MS
    for number in range(draw(st.integers(1, max_size))):
        now_ms += draw(steps_ms)
        what = draw(st.integers(0, 19))
        if what == 0 and len(log):
            log.repeat(draw(st.integers(0, len(log) - 1)))
        elif what == 1:
            log.append(events.Tick(ts_ms=now_ms))
        elif what == 2:
            log.append_raw(
                draw(st.sampled_from([None, b"ann"])), draw(st.sampled_from([None, b"", b"{", b'{"type":1}']))
            )
        else:
            log.append(draw(user_events(now_ms, f"e{number}")), late_ms=draw(lateness_ms))
    return log


crashes = st.builds(Crash, st.sampled_from(Step), st.none() | st.integers(0, 6))

schedules = st.lists(st.tuples(st.integers(1, 8), st.none() | crashes), min_size=1, max_size=8)
"""Batch sizes, and where in the protocol each of them dies, if it does."""


def follow(engine: MemoryEngine, schedule: list[tuple[int, Crash | None]]) -> None:
    """Process the engine's log by a schedule, what is left of it in one batch."""
    for size, crash in schedule:
        engine.batch(size, crash)
    engine.batch()
