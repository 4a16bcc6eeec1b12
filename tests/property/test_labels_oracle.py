"""Outcome examples of the fold against an oracle that sees the whole log at once.

The oracle shares no code with the core: plain dicts over decoded JSON, the life of a touch as a stretch of the log, and
for each purchase a search among all touches alive at it.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings

from streams.contracts.examples import Outcome
from streams.ingest import Record
from streams.labels import touches
from streams.testing import MemoryEngine, MemoryLog
from streams.testing.strategies import logs

MINUTE, DAY = 60_000, 86_400_000
WEEK = 7 * DAY

Found = dict[str, Any]


def events_of(records: list[Record]) -> dict[int, Found]:
    """Offset -> event, for records that are events."""
    found = {}
    for record in records:
        try:
            event = json.loads(record.value or b"")
        except ValueError:
            continue
        if "ts_ms" in event:
            found[record.offset] = event
    return found


def without_repeats(events: dict[int, Found]) -> dict[int, Found]:
    """Drop what has an id that the same user sent within a day (in whole minutes), erasure aside."""
    minutes: dict[str, dict[str, int]] = {}
    kept = {}
    for offset, event in events.items():
        if event["type"] == "tick":
            continue
        ids, minute = minutes.setdefault(event["user_id"], {}), event["ts_ms"] // MINUTE
        if event["event_id"] in ids and abs(minute - ids[event["event_id"]]) <= 1440:
            continue
        ids[event["event_id"]] = minute
        kept[offset] = event
        if event["type"] == "erase_user":
            ids.clear()
    return kept


def outcomes_of(records: list[Record]) -> tuple[list[Found], int, int]:
    """Outcomes in the order of the topic, and how many touches were opened and cut."""
    events = events_of(records)
    watermarks: dict[int, int] = {}
    raised: list[int] = []
    newest = 0
    for offset, event in events.items():
        if event["ts_ms"] > newest:
            newest = event["ts_ms"]
            raised.append(offset)
        watermarks[offset] = newest

    kept = without_repeats(events)
    opened: list[Found] = []
    ends: dict[str, list[int]] = {}  # where all waiting touches of a user are given up
    sessions: dict[str, Found] = {}
    refused: set[str] = set()
    for offset, event in kept.items():
        user, at = event["user_id"], event["ts_ms"]
        if event["type"] == "erase_user":
            ends.setdefault(user, []).append(offset)
            sessions.pop(user, None)
            refused.discard(user)
            continue
        if event["type"] == "consent":
            if event["granted"]:
                refused.discard(user)
            else:
                refused.add(user)
                ends.setdefault(user, []).append(offset)
        session = sessions.get(user)
        late = session is not None and at < session["first"] - 30 * MINUTE
        if session is None or at > session["last"] + 30 * MINUTE:
            session = sessions[user] = {"first": at, "last": at, "items": set()}
        elif not late:
            session["first"], session["last"] = min(session["first"], at), max(session["last"], at)
        if event["type"] not in ("view", "add_to_cart") or late:
            continue
        seen = event["item_id"] in session["items"]
        session["items"].add(event["item_id"])
        bot = "bot" in event.get("user_agent", "")
        if not seen and user not in refused and event.get("consent") is not False and not bot:
            opened.append({"offset": offset, "user": user, "item": event["item_id"], "at": at, "type": event["type"]})

    for touch in opened:  # [offset, until): where it waits
        due = touch["at"] + WEEK
        matures = next((o for o in raised if o > touch["offset"] and watermarks[o] >= due), None)
        given_up = next((o for o in ends.get(touch["user"], ()) if o > touch["offset"]), None)
        touch["matures"] = matures if matures is not None and (given_up is None or matures <= given_up) else None
        touch["until"] = min(o for o in (matures, given_up, len(records)) if o is not None)
        touch["cut"] = given_up is not None and touch["until"] == given_up and touch["matures"] is None
        if due <= watermarks[touch["offset"]]:  # after its own horizon: never waits
            touch["matures"], touch["until"], touch["cut"] = None, touch["offset"], True

    refused.clear()
    delays: dict[int, int] = {}
    for offset, event in kept.items():
        user = event["user_id"]
        if event["type"] == "consent":
            refused.discard(user) if event["granted"] else refused.add(user)
        if event["type"] == "erase_user":
            refused.discard(user)
        if event["type"] != "purchase" or user in refused or event.get("consent") is False:
            continue
        mine = [
            touch
            for touch in opened
            if (touch["user"], touch["item"]) == (user, event["item_id"])
            and touch["offset"] < offset < touch["until"]
            and touch["at"] <= event["ts_ms"] < touch["at"] + WEEK
        ]
        if mine:
            latest = max(mine, key=lambda touch: (touch["at"], touch["offset"]))
            delays.setdefault(latest["offset"], max(watermarks[offset] - latest["at"], 0))

    matured = sorted(
        (touch for touch in opened if touch["matures"] is not None),
        key=lambda touch: (touch["matures"], touch["at"], touch["user"], touch["offset"]),
    )
    outcomes = [
        {
            "touch": touch["offset"],
            "type": touch["type"],
            "item": touch["item"],
            "touched_ms": touch["at"],
            "known_ms": watermarks[touch["matures"]],
            "triggered_by": touch["matures"],
            "delay_ms": delays.get(touch["offset"]),
            "label": int(touch["offset"] in delays),
        }
        for touch in matured
    ]
    return outcomes, len(opened), sum(touch["cut"] for touch in opened)


def as_sent(engine: MemoryEngine) -> list[Found]:
    return [
        {
            "touch": int(example.touch_id.split(":")[3]),
            "type": example.touch_type,
            "item": example.item_id,
            "touched_ms": example.touched_ms,
            "known_ms": example.ts_ms,
            "triggered_by": example.seq.offset,
            "delay_ms": example.delay_ms,
            "label": example.label,
        }
        for example in engine.examples
        if isinstance(example, Outcome)
    ]


def test_outcomes_are_those_of_the_oracle() -> None:
    labels: Counter[int] = Counter()

    @settings(max_examples=250, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(logs())
    def compare(log: MemoryLog) -> None:
        engine = MemoryEngine(log=log)
        engine.batch()
        expected, opened, cut = outcomes_of(log.records)
        assert as_sent(engine) == expected
        ledger, pending = engine.ledger, sum(len(user.pending) for user in engine.users.values())
        assert (ledger.touches, ledger.cut, ledger.matured) == (opened, cut, len(expected))
        assert ledger.matured + ledger.cut + pending == opened
        labels.update(outcome["label"] for outcome in expected)

    compare()
    assert min(labels[0], labels[1]) >= 50  # the drawn logs have both


def test_no_user_waits_with_more_touches_than_the_bound() -> None:
    log = MemoryLog()
    for number in range(200):
        value = {"type": "view", "event_id": f"e{number}", "user_id": "ann", "ts_ms": number, "item_id": f"i{number}"}
        log.append_raw(b"ann", json.dumps(value).encode())
    engine = MemoryEngine(log=log)
    engine.batch()
    assert len(engine.users["ann"].pending) == touches.MAX_PENDING
    assert engine.ledger.cut == 200 - touches.MAX_PENDING
    assert engine.users["ann"].pending[0].item_id == f"i{200 - touches.MAX_PENDING}"
