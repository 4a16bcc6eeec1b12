"""The truth of the synthetic shop is true: what it says of touches is what its purchases show."""

from __future__ import annotations

from itertools import pairwise
from math import sqrt
from typing import NamedTuple

import msgspec
import pytest

from streams.contracts.events import AddToCart, Purchase, UserEvent, View
from streams.simulator import Shop, SimulatorOptions, truth

DAY_MS = 86_400_000
SESSION_GAP_MS = 30 * 60_000


class Touch(NamedTuple):
    event: View | AddToCart
    delay_ms: int | None


class Log(NamedTuple):
    """`touches` by the terms of the product, found anew from the events; `said` by event id from the simulator."""

    touches: list[Touch]
    said: dict[str, float]
    unattributed: list[Purchase]
    pauses_ms: list[int]
    """Before each visit, the time since anything that the user did."""
    end_ms: int


@pytest.fixture(scope="module")
def log() -> Log:
    return read(SimulatorOptions(seed=11, events=200_000))


@pytest.fixture(scope="module")
def rich_log() -> Log:
    return read(SimulatorOptions(seed=12, events=200_000, base_rate=0.2))


def read(options: SimulatorOptions) -> Log:
    """Touches and their purchases in event time: sessions end after 30 minutes, the latest touch has the credit."""
    decode = msgspec.json.Decoder(UserEvent).decode
    of_user: dict[str, list[UserEvent]] = {}
    said: dict[str, float] = {}
    end_ms = 0
    for arrival in Shop(options).stream():
        if arrival.kind == "event" and arrival.planted is None:
            event = decode(arrival.value)
            of_user.setdefault(event.user_id, []).append(event)
            end_ms = arrival.arrival_ms
            if arrival.touch_probability is not None:
                said[event.event_id] = arrival.touch_probability
    touches: list[Touch] = []
    unattributed: list[Purchase] = []
    pauses_ms: list[int] = []
    for events in of_user.values():
        events.sort(key=lambda event: event.ts_ms)
        in_session: set[str] = set()
        latest: dict[str, int] = {}
        last_ms = 0
        visits: set[str | None] = set()
        for event in events:
            if event.session_id not in visits:
                visits.add(event.session_id)
                pauses_ms.append(event.ts_ms - last_ms)
            if event.ts_ms - last_ms > SESSION_GAP_MS:
                in_session = set()
            last_ms = event.ts_ms
            if isinstance(event, View | AddToCart) and event.item_id not in in_session:
                in_session.add(event.item_id)
                latest[event.item_id] = len(touches)
                touches.append(Touch(event, None))
            elif isinstance(event, Purchase):
                at = latest.pop(event.item_id, None)
                if at is None:
                    unattributed.append(event)
                else:
                    touches[at] = Touch(touches[at].event, event.ts_ms - touches[at].event.ts_ms)
    return Log(touches, said, unattributed, pauses_ms, end_ms)


def matured(log: Log) -> list[Touch]:
    """Touches whose purchases have all arrived: a week to convert, a day to arrive."""
    return [touch for touch in log.touches if touch.event.ts_ms < log.end_ms - truth.HORIZON_MS - DAY_MS]


def test_the_touches_it_marks_are_the_touches_by_the_product_s_terms(log: Log) -> None:
    found = {touch.event.event_id for touch in matured(log)}
    last_ms = max(touch.event.ts_ms for touch in matured(log))
    marked = {touch.event.event_id for touch in log.touches if touch.event.ts_ms <= last_ms} & log.said.keys()
    assert found == marked
    assert len({touch.event.event_id for touch in log.touches} ^ log.said.keys()) < 30  # cut off at the end


def test_the_default_shop_has_enough_matured_touches_to_learn_from(log: Log) -> None:
    touches = matured(log)
    assert len(touches) > 60_000
    assert sum(touch.delay_ms is not None for touch in touches) > 1_500
    assert log.end_ms - SimulatorOptions().start_ms > 20 * DAY_MS


@pytest.mark.parametrize("name", ["log", "rich_log"])
def test_touches_convert_as_often_as_their_probabilities_say_in_every_decile(
    name: str, request: pytest.FixtureRequest
) -> None:
    log: Log = request.getfixturevalue(name)
    rows = sorted((log.said[touch.event.event_id], touch.delay_ms is not None) for touch in matured(log))
    rows = [row for row in rows if row[0] > 0]
    edges = [len(rows) * k // 10 for k in range(11)]
    for low, high in pairwise(edges):
        expected = sum(p for p, _ in rows[low:high])
        deviation = sqrt(sum(p * (1 - p) for p, _ in rows[low:high]))
        converted = sum(bought for _, bought in rows[low:high])
        assert abs(converted - expected) < 4 * deviation, (low, converted, expected)


@pytest.mark.parametrize(("name", "base_rate"), [("log", 0.03), ("rich_log", 0.2)])
def test_the_base_rate_is_about_the_one_asked_for(name: str, base_rate: float, request: pytest.FixtureRequest) -> None:
    said = [p for p in request.getfixturevalue(name).said.values() if p > 0]
    assert sum(said) / len(said) == pytest.approx(base_rate, rel=0.15)


def test_the_probabilities_are_spread_enough_to_be_worth_learning(log: Log) -> None:
    said = sorted(p for p in log.said.values() if p > 0)
    assert said[len(said) // 10] < 0.01
    assert said[len(said) * 9 // 10] > 0.06


def test_a_purchase_without_a_touch_does_not_occur_and_none_is_after_the_horizon(log: Log) -> None:
    delays = [touch.delay_ms for touch in log.touches if touch.delay_ms is not None]
    assert [purchase for purchase in log.unattributed if purchase.ts_ms < log.end_ms - DAY_MS] == []
    assert min(delays) > 0
    assert max(delays) < truth.HORIZON_MS


def test_a_visit_begins_a_new_session_whatever_the_user_did_outside_of_visits(rich_log: Log) -> None:
    assert min(rich_log.pauses_ms) > SESSION_GAP_MS


def test_delays_are_distributed_as_stated(rich_log: Log) -> None:
    delays: dict[int, list[int]] = {band: [] for band in range(5)}
    for touch in matured(rich_log):
        if touch.delay_ms is not None:
            assert touch.event.price_minor is not None
            delays[truth.price_band(touch.event.price_minor)].append(touch.delay_ms)
    for band, quick in enumerate(truth.QUICK_SHARE):
        observed = sum(delay < SESSION_GAP_MS for delay in delays[band]) / len(delays[band])
        assert abs(observed - quick) < 4 * sqrt(quick * (1 - quick) / len(delays[band])), band
    everyone = [delay for band in delays.values() for delay in band]
    assert sum(delay < SESSION_GAP_MS for delay in everyone) / len(everyone) == pytest.approx(0.60, abs=0.03)
    assert sum(delay < DAY_MS for delay in everyone) / len(everyone) == pytest.approx(0.85, abs=0.04)
    assert sum(delay < 4 * DAY_MS for delay in everyone) / len(everyone) == pytest.approx(0.97, abs=0.02)


def test_the_next_item_depends_on_the_one_before_and_not_only_on_popularity(log: Log) -> None:
    """Guessing by co-visits learned on the first half beats guessing the most viewed, on the second half."""
    pairs = [
        (a.event.item_id, b.event.item_id)
        for a, b in pairwise(log.touches)
        if a.event.session_id == b.event.session_id and a.event.user_agent == b.event.user_agent
        and "Crawler" not in (a.event.user_agent or "")
    ]  # fmt: skip
    half = len(pairs) // 2
    follows: dict[str, dict[str, int]] = {}
    popular: dict[str, int] = {}
    for before, after in pairs[:half]:
        row = follows.setdefault(before, {})
        row[after] = row.get(after, 0) + 1
        popular[after] = popular.get(after, 0) + 1
    most_viewed = set(sorted(popular, key=lambda item: -popular[item])[:20])
    by_last = by_popularity = 0
    for before, after in pairs[half:]:
        row = follows.get(before, {})
        by_last += after in sorted(row, key=lambda item: -row[item])[:20]
        by_popularity += after in most_viewed
    assert by_last > 3 * by_popularity
    assert by_last > 0.4 * (len(pairs) - half)


def test_the_delay_lies_within_the_horizon_for_every_draw() -> None:
    for band in range(5):
        values = [truth.delay_ms(band, k / 1000) for k in range(1000)]
        assert values == sorted(values)
        assert values[0] >= 20_000
        assert values[-1] < truth.HORIZON_MS


def test_a_price_on_an_edge_belongs_to_the_band_above() -> None:
    assert [truth.price_band(price) for price in (0, 1_499, 1_500, 3_999, 10_000, 30_000, 10**9)] == [
        0,
        0,
        1,
        1,
        3,
        4,
        4,
    ]


def test_the_intercept_makes_the_mean_probability_the_base_rate() -> None:
    scores = [k / 50 - 2 for k in range(200)]
    intercept = truth.solve_intercept(scores, 0.05)
    assert sum(truth.probability(intercept + z) for z in scores) / len(scores) == pytest.approx(0.05, abs=1e-4)
