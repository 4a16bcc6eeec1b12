"""What the arrivals of the synthetic shop keep to."""

from __future__ import annotations

import hashlib
from collections import Counter

import msgspec
import pytest

from streams.contracts.catalog import CatalogItem
from streams.contracts.events import UserEvent
from streams.simulator import Arrival, Shop, SimulatorOptions

DAY_MS = 86_400_000
DIRTY = SimulatorOptions.parse("dirty?seed=5&events=30000&users=600&items=200")

decode_event = msgspec.json.Decoder(UserEvent).decode
decode_item = msgspec.json.Decoder(CatalogItem).decode


@pytest.fixture(scope="module")
def dirty() -> list[Arrival]:
    return list(shop(DIRTY).stream())


def shop(options: SimulatorOptions) -> Shop:
    """Without the pilot run, where the base rate does not matter."""
    return Shop(options, intercept=-4.0)


def digest(options: SimulatorOptions) -> str:
    opened = Shop(options)
    state = hashlib.sha256()
    for item in opened.catalog():
        state.update(msgspec.json.encode(item))
    for arrival in opened.stream():
        state.update(repr(arrival).encode())
    return state.hexdigest()


def test_the_same_options_give_the_same_bytes_on_every_machine() -> None:
    options = SimulatorOptions.parse("dirty?seed=3&events=2000&users=200&items=80")
    assert digest(options) == "f4b5deaf0846f99f0dcb1d6bf4024650c56ae771a11f5d0967ed56350232035b"


def test_a_shop_streams_the_same_again() -> None:
    again = shop(SimulatorOptions(events=500))
    assert list(again.stream()) == list(again.stream())


@pytest.mark.parametrize("change", [{"seed": 4}, {"users": 201}, {"items": 81}, {"bots": 0.2}])
def test_another_option_gives_other_bytes(change: dict[str, float]) -> None:
    options = SimulatorOptions(seed=3, events=1500, users=200, items=80)
    plain, changed = (list(shop(o).stream()) for o in (options, msgspec.structs.replace(options, **change)))
    assert [arrival.value for arrival in plain] != [arrival.value for arrival in changed]


def test_arrival_times_never_go_back(dirty: list[Arrival]) -> None:
    times = [arrival.arrival_ms for arrival in dirty]
    assert times == sorted(times)


def test_every_good_record_keeps_to_the_contract_and_its_key(dirty: list[Arrival]) -> None:
    for arrival in dirty:
        if arrival.kind == "catalog":
            assert decode_item(arrival.value).item_id.encode() == arrival.key
        elif arrival.planted in (None, "duplicate"):
            assert decode_event(arrival.value).user_id.encode() == arrival.key


def test_no_good_event_arrives_before_it_happened(dirty: list[Arrival]) -> None:
    for arrival in good_events(dirty):
        assert DIRTY.start_ms <= decode_event(arrival.value).ts_ms <= arrival.arrival_ms


def test_lateness_is_seconds_often_minutes_sometimes_hours_rarely(dirty: list[Arrival]) -> None:
    fresh = [arrival for arrival in dirty if arrival.kind == "event" and arrival.planted is None]
    delays = [arrival.arrival_ms - decode_event(arrival.value).ts_ms for arrival in fresh]
    share = {limit: sum(delay > limit for delay in delays) / len(delays) for limit in (8_000, 3_600_000, DAY_MS)}
    assert share[8_000] == pytest.approx(DIRTY.late, abs=0.006)
    assert 0.001 < share[3_600_000] < 0.01
    assert share[DAY_MS] == 0


def test_events_of_one_user_overtake_each_other(dirty: list[Arrival]) -> None:
    latest: dict[bytes, int] = {}
    overtaken = 0
    for arrival in good_events(dirty):
        ts_ms = decode_event(arrival.value).ts_ms
        overtaken += ts_ms < latest.get(arrival.key, 0)
        latest[arrival.key] = max(ts_ms, latest.get(arrival.key, 0))
    assert overtaken > 100


def test_a_duplicate_has_the_bytes_of_an_earlier_arrival_and_nothing_else_occurs_twice(dirty: list[Arrival]) -> None:
    seen: dict[str, Arrival] = {}
    for arrival in good_events(dirty):
        event_id = decode_event(arrival.value).event_id
        if arrival.planted == "duplicate":
            first = seen[event_id]
            assert (arrival.key, arrival.value) == (first.key, first.value)
            assert first.arrival_ms < arrival.arrival_ms
            assert arrival.touch_probability is None
        else:
            assert event_id not in seen
            seen[event_id] = arrival


def test_the_options_shares_are_kept(dirty: list[Arrival]) -> None:
    planted = Counter(arrival.planted for arrival in dirty if arrival.kind == "event")
    fresh = planted[None]
    crawled = sum(arrival.planted is None and b"ShopCrawlerBot" in arrival.value for arrival in dirty)
    bad = sum(planted[fault] for fault in ("truncated", "wrong_type", "key_mismatch", "from_future"))
    assert planted["duplicate"] / fresh == pytest.approx(DIRTY.duplicates, abs=0.005)
    assert bad / fresh == pytest.approx(DIRTY.bad, abs=0.003)
    assert crawled / fresh == pytest.approx(DIRTY.bots, abs=0.01)


def test_planted_faults_are_what_they_say(dirty: list[Arrival]) -> None:
    found = Counter(arrival.planted for arrival in dirty)
    for arrival in dirty:
        if arrival.planted == "truncated":
            with pytest.raises(msgspec.DecodeError, match="truncated"):
                decode_event(arrival.value)
        elif arrival.planted == "wrong_type":
            with pytest.raises(msgspec.ValidationError, match=r"ts_ms"):
                decode_event(arrival.value)
        elif arrival.planted == "key_mismatch":
            assert decode_event(arrival.value).user_id.encode() != arrival.key
        elif arrival.planted == "from_future":
            assert decode_event(arrival.value).ts_ms > arrival.arrival_ms + DAY_MS
    assert all(found[fault] for fault in ("truncated", "wrong_type", "key_mismatch", "from_future"))


def test_bad_records_are_off_by_default_and_come_on_top_of_the_good_ones() -> None:
    def planted(bad: float) -> tuple[list[bytes], int]:
        arrivals = list(shop(SimulatorOptions(events=None, days=2, users=300, bad=bad)).stream())
        faults = sum(arrival.planted not in (None, "duplicate") for arrival in arrivals)
        return sorted(arrival.value for arrival in arrivals if arrival.planted is None), faults

    good, none = planted(SimulatorOptions().bad)
    same, some = planted(0.1)
    assert good == same
    assert none == 0 < some


def test_the_truth_is_not_in_the_bytes(dirty: list[Arrival]) -> None:
    for arrival in dirty:
        assert b"prob" not in arrival.value
        assert b"planted" not in arrival.value


def test_a_crawler_views_fast_and_never_buys(dirty: list[Arrival]) -> None:
    times: dict[bytes, list[int]] = {}
    for arrival in good_events(dirty):
        if b"ShopCrawlerBot" in arrival.value:
            assert b'"type":"view"' in arrival.value
            assert arrival.planted == "duplicate" or arrival.touch_probability == 0
            times.setdefault(arrival.key, []).append(decode_event(arrival.value).ts_ms)
    whole = [sorted(ts) for ts in times.values() if len(ts) > 50]
    assert whole
    assert all((ts[-1] - ts[0]) / len(ts) < 2_000 for ts in whole)


def test_every_type_of_user_event_but_erasure_occurs() -> None:
    arrivals = shop(SimulatorOptions(events=60_000)).stream()
    found = Counter(type(decode_event(arrival.value)).__name__ for arrival in arrivals if arrival.kind == "event")
    assert set(found) == {
        "PageView", "View", "AddToCart", "RemoveFromCart", "Favorite", "Purchase", "Refund",
        "Impression", "Search", "Coupon", "SupportMessage", "Consent",
    }  # fmt: skip
    assert found["View"] > 0.5 * found.total()


def test_the_number_of_events_and_of_days_end_the_stream() -> None:
    arrivals = list(shop(SimulatorOptions(events=777, users=200)).stream())
    assert sum(arrival.kind == "event" for arrival in arrivals) == 777
    options = SimulatorOptions(events=None, days=2, users=300)
    events = [decode_event(arrival.value) for arrival in good_events(list(shop(options).stream()))]
    assert options.start_ms + 1.9 * DAY_MS < max(event.ts_ms for event in events) < options.start_ms + 2 * DAY_MS
    assert list(shop(SimulatorOptions(events=0)).stream()) == []


def test_items_come_and_go_with_catalogue_records_and_only_what_the_catalogue_offers_is_viewed() -> None:
    changing = shop(SimulatorOptions(events=60_000, users=4_000, items=200, late=0, duplicates=0, bots=0))
    offered = {item.item_id: item for item in changing.catalog()}
    start = set(offered)
    viewed_new = repriced = sold = withdrawn = 0
    for arrival in changing.stream():
        if arrival.kind == "catalog":
            item = decode_item(arrival.value)
            before = offered.get(item.item_id)
            assert before is not None or item.created_ms == arrival.arrival_ms
            if before is not None:
                repriced += before.price_minor != item.price_minor
                sold += item.stock < before.stock
                withdrawn += before.available and not item.available
            offered[item.item_id] = item
        elif b'"type":"view"' in arrival.value:
            event = decode_event(arrival.value)
            assert event.item_id in offered
            viewed_new += event.item_id not in start
    assert min(viewed_new, repriced, sold, withdrawn) > 0


def test_new_users_come() -> None:
    arrivals = shop(SimulatorOptions(events=30_000, users=300, bots=0)).stream()
    assert len({arrival.key for arrival in arrivals if arrival.kind == "event"}) > 330


def good_events(arrivals: list[Arrival]) -> list[Arrival]:
    return [a for a in arrivals if a.kind == "event" and a.planted in (None, "duplicate")]
