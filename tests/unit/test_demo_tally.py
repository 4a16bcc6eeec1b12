"""What a demo counts: every output once, every delay whichever record is read first, percentiles that are exact."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from streams.contracts.catalog import CatalogItem
from streams.contracts.identity import Cause, Seq
from streams.contracts.outputs import Conversion, ModelRef, Recommendations, RecommendedItem
from streams.contracts.snapshots import Manifest
from streams.demo.tally import Delays, Ids, Tally, quantile
from streams.replay.watch import Output

_COMMON = {"user_id": "alice", "session": 1, "ts_ms": 5, "catalog_offset": 0, "arm": ""}


def conversion(offset: int, *, partition: int = 0, degraded: bool = False) -> Conversion:
    return Conversion(
        id=f"clickstream.events.v1:1:{partition}:{offset}:conversion:0", seq=Seq(offset, 0), degraded=degraded,
        cause=Cause("clickstream.events.v1", 1, partition, offset, f"e{offset}"), model=ModelRef("conversion", "v1"),
        item_id="mixer", touch_id="t", probability=0.25, horizon_ms=7 * 86_400_000, factors=(), **_COMMON,
    )  # fmt: skip


def recommendations(offset: int, items: tuple[RecommendedItem, ...]) -> Recommendations:
    return Recommendations(
        id=f"clickstream.events.v1:1:0:{offset}:recommendations:0", seq=Seq(offset, 1), degraded=False,
        cause=Cause("clickstream.events.v1", 1, 0, offset, f"e{offset}"), model=ModelRef("retrieval", "v1"),
        items=items, **_COMMON,
    )  # fmt: skip


def item(rank: int = 1) -> RecommendedItem:
    return RecommendedItem(
        item_id="bowl", rank=rank, score=1.0, source="walk", reason="also_viewed", because="mixer", propensity=1.0
    )


def manifest(name: str, **metrics: float) -> Manifest:
    return Manifest(
        name=name, version="v1", learner_epoch=1, learned=(), feature_schema="s", trained_ms=0, examples=12, files=(),
        metrics=metrics, software={},
    )  # fmt: skip


def record(topic: str, value: object, *, offset: int = 0, arrival_ms: int = 0, partition: int = 0) -> Output:
    encoded = value if isinstance(value, bytes) or value is None else msgspec.json.encode(value)
    return Output(topic, partition, offset, arrival_ms, b"key", encoded)


def test_outputs_are_counted_by_topic_with_what_is_missing_in_them() -> None:
    tally = Tally("shop.")
    tally.add(record("shop.conversions.v1", conversion(1)))
    tally.add(record("shop.conversions.v1", conversion(2, degraded=True)))
    tally.add(record("shop.conversions.v1", b"{torn"))
    tally.add(record("shop.recommendations.v1", recommendations(1, (item(),))))
    tally.add(record("shop.recommendations.v1", recommendations(2, ())))
    assert (tally.conversions.total, tally.conversions.degraded, tally.conversions.probability_sum) == (2, 1, 0.5)
    assert (tally.recommendations.total, tally.recommendations.empty) == (2, 1)
    assert tally.unreadable == 1
    assert tally.ids.repeated == 0
    assert tally.last_recommendations == recommendations(1, (item(),)), "an empty list is nothing to show"
    assert tally.last_conversion == conversion(2, degraded=True)


def test_rejected_records_are_counted_by_code_and_titles_outlive_their_item() -> None:
    tally = Tally("")
    failure = {"failure": {"code": "not_json", "path": "$", "message": "m"}}
    tally.add(record("clickstream.rejected.v1", msgspec.json.encode(failure)))
    tally.add(record("catalog.items.v1", CatalogItem(item_id="bowl", title="Bowl")))
    tally.add(record("catalog.items.v1", None))
    assert tally.rejected == {"unreadable": 1}
    assert tally.titles["bowl"].title == "Bowl"


def test_each_model_has_its_newest_manifest_and_a_count_of_versions() -> None:
    tally = Tally("")
    for value in (manifest("conversion"), manifest("conversion", log_loss=0.1), manifest("retrieval")):
        tally.add(record("models.snapshots.v1", value))
    assert tally.models["conversion"].versions == 2
    assert tally.models["conversion"].manifest.metrics == {"log_loss": 0.1}
    assert tally.models["retrieval"].versions == 1


def test_applied_is_the_sum_over_partitions_of_the_newest_cause() -> None:
    tally = Tally("")
    for output in (conversion(9), conversion(4), conversion(2, partition=1)):
        tally.add(record("conversions.v1", output))
    assert tally.applied == 10 + 3


@pytest.mark.parametrize("event_first", [True, False])
def test_a_delay_is_known_whichever_record_is_read_first(event_first: bool) -> None:
    tally = Tally("")
    event = record("clickstream.events.v1", b"{}", offset=7, arrival_ms=1_000)
    outputs = [
        record("conversions.v1", conversion(7), arrival_ms=1_020),
        record("recommendations.v1", recommendations(7, (item(),)), arrival_ms=1_050),
    ]
    for one in [event, *outputs] if event_first else [*outputs, event]:
        tally.add(one)
    assert tally.delays.all_ms == Counter({20: 1, 50: 1})
    assert (tally.delays.overall(0.5), tally.delays.overall(0.99)) == (20, 50)


def test_delays_never_grow_without_bound_and_clocks_that_differ_give_no_negative_one() -> None:
    delays = Delays()
    for offset in range(60_000):
        delays.written(0, offset, 5)
        delays.arrived(1, offset, 5)
    assert len(delays._waiting) == len(delays._arrivals) == 50_000
    delays.written(1, 59_999, 3)
    assert delays.recent(1.0) == 0


def test_quantiles_are_values_that_occurred() -> None:
    counts = Counter({1: 98, 5: 1, 900: 1})
    assert [quantile(counts, share) for share in (0.0, 0.5, 0.98, 0.99, 1.0)] == [1, 1, 1, 5, 900]
    assert quantile(Counter(), 0.5) is None


def test_an_id_seen_twice_is_found_whatever_its_form() -> None:
    ids = Ids()
    different = [
        "t:1:0:5:conversion:0",
        "t:1:0:5:conversion:1",
        "t:1:0:5:other:0",
        "t:1:1:5:conversion:0",
        "t:2:0:5:conversion:0",
        "t:1:0:6:conversion:0",
        "t:1:0:123456:conversion:0",
        "t:1:0:-5:conversion:0",
        "odd",
        "",
        "5:a:b",
    ]
    for one in different:
        ids.add(one)
    assert ids.repeated == 0
    for count, one in enumerate(different, 1):
        ids.add(one)
        assert ids.repeated == count, one
