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
ITEMS = ("i1", "i2", "i3")

steps_ms = st.sampled_from(
    [
        *[0, 1, 999, 20_000, _MINUTE_MS, 7 * _MINUTE_MS, 29 * _MINUTE_MS] * 2,
        *[30 * _MINUTE_MS, 30 * _MINUTE_MS + 1, 5 * _HOUR_MS, _DAY_MS],
        *[3 * _DAY_MS, 7 * _DAY_MS - 1, 7 * _DAY_MS, 8 * _DAY_MS],
    ]
)
"""Time from one event to the next."""

lateness_ms = st.sampled_from(
    [
        *[0] * 16,
        *[1, 1_000, _MINUTE_MS, 25 * _MINUTE_MS, 31 * _MINUTE_MS, 2 * _HOUR_MS],
        *[_DAY_MS, 6 * _DAY_MS, 8 * _DAY_MS, 40 * _DAY_MS],
    ]
)
"""How late an event comes; mostly it doesn't."""

# Few draws with many outcomes each: drawing costs more than folding.
_anyone: dict[str, st.SearchStrategy[Any]] = {
    "user_id": st.sampled_from(USERS),
    "sender": st.sampled_from(
        [
            *[{"channel": channel} for channel in CHANNELS[:2] * 4],
            *[{"consent": consent} for consent in (True, False)],
            *[{"user_agent": agent} for agent in ("Mozilla/5.0", "Googlebot/2.1")],
        ]
    ),
}
_item: dict[str, st.SearchStrategy[Any]] = {
    "item_id": st.sampled_from(ITEMS),
    "page": st.sampled_from(
        [
            {},
            {"category": "a.b", "brand": "x", "price_minor": 1_999},
            {"category": "a.c", "price_minor": 0},
            {"category": "d", "brand": "y"},
        ]
    ),
}
_shown = (events.ShownItem(item_id="i1", position=0), events.ShownItem(item_id="i2", position=1))


def _fields(**own: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(_anyone | own)


_KINDS: list[tuple[type[Any], st.SearchStrategy[dict[str, Any]]]] = [
    *[(events.View, _fields(**_item))] * 10,
    *[(events.AddToCart, _fields(**_item))] * 4,
    *[(events.Purchase, _fields(**_item))] * 2,
    (events.Favorite, _fields(**_item)),
    (events.RemoveFromCart, _fields(**_item)),
    (events.Refund, _fields(**_item)),
    (events.PageView, _fields()),
    (events.Search, _fields(query=st.just("lamp"))),
    (events.Coupon, _fields(coupon_id=st.just("c"), action=st.sampled_from(["received", "applied", "expired"]))),
    (events.SupportMessage, _fields(text=st.just("where is it?"))),
    (events.Impression, _fields(items=st.just(_shown))),
    *[(events.Consent, _fields(granted=granted)) for granted in (st.just(True), st.booleans())],
    (events.EraseUser, _fields()),
]
_whats = st.sampled_from([*["event"] * 16, "bought", "bought", "repeat", "tick", "no event", "old id"])
_no_events = st.sampled_from([None, b"", b"{", b'{"type":"view"}', b'{"type":"unheard"}', b"\xff"])


@st.composite
def user_events(draw: st.DrawFn, ts_ms: int, event_id: str) -> events.UserEvent:
    """Any event of one of USERS at a time."""
    kind, fields = draw(st.sampled_from(_KINDS))
    values = draw(fields)
    sender, page = values.pop("sender"), values.pop("page", {})
    event: events.UserEvent = kind(event_id=event_id, ts_ms=ts_ms, **values, **sender, **page)
    return event


@st.composite
def logs(draw: st.DrawFn, max_size: int = 40) -> MemoryLog:
    """A log of events, some with an id used before, producers' repeats, ticks and records that are no events. Half of
    the purchases are of what was looked at last."""
    log, now_ms = MemoryLog(), START_MS
    touched: events.View | events.AddToCart | None = None
    for number in range(draw(st.integers(1, max_size))):
        now_ms += draw(steps_ms)
        what = draw(_whats)
        if what == "repeat" and len(log):
            log.repeat(draw(st.integers(0, len(log) - 1)))
        elif what == "tick":
            log.append(events.Tick(ts_ms=now_ms))
        elif what == "no event":
            log.append_raw(draw(st.sampled_from([None, b"ann"])), draw(_no_events))
        elif what == "bought" and touched:
            user_id, item_id = touched.user_id, touched.item_id
            log.append(events.Purchase(event_id=f"e{number}", user_id=user_id, ts_ms=now_ms, item_id=item_id))
        else:
            identity = draw(st.integers(0, number)) if what == "old id" else number
            event = draw(user_events(now_ms, f"e{identity}"))
            log.append(event, late_ms=draw(lateness_ms))
            touched = event if isinstance(event, events.TOUCH_EVENTS) else touched
    return log


crashes = st.builds(Crash, st.sampled_from(Step), st.none() | st.integers(0, 6))

schedules = st.lists(st.tuples(st.integers(1, 12), st.none() | crashes), min_size=1, max_size=8)
"""Batch sizes, and where in the protocol each of them dies, if it does."""


def follow(engine: MemoryEngine, schedule: list[tuple[int, Crash | None]]) -> None:
    """Process the engine's log by a schedule, what is left of it in one batch."""
    for size, crash in schedule:
        engine.batch(size, crash)
    engine.batch()
