"""The live view fits a terminal of 100 x 24 and says what it should; the summary finds what went wrong."""

from __future__ import annotations

import io
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console
from rich.control import strip_control_codes

from streams.contracts.catalog import CatalogItem
from streams.contracts.identity import Cause, Seq
from streams.contracts.outputs import Conversion, Factor, ModelRef, Recommendations, RecommendedItem
from streams.contracts.snapshots import Manifest
from streams.demo.screen import Shown, screen
from streams.demo.summary import Moment, Pulse, Rates, checks, delay, progress, summary
from streams.demo.tally import ModelSeen, Tally

_CAUSE = Cause("clickstream.events.v1", 1, 0, 7, "e7")
_COMMON = {"user_id": "u0000042", "session": 3, "ts_ms": 5, "catalog_offset": 0, "arm": "", "degraded": False}
_MOMENT = Moment(83.0, 1_263_487_033_582, 10.7, 1_234_567, 1_998.4, 1_340.0, 1_290.0, 1.9)


def _recommendations(count: int) -> Recommendations:
    items = tuple(
        RecommendedItem(
            item_id=f"i{rank}", rank=rank, score=1.0, source="walk", reason="also_viewed", because="i1", propensity=1.0
        )
        for rank in range(1, count + 1)
    )
    return Recommendations(
        id="r", seq=Seq(7, 1), cause=_CAUSE, model=ModelRef("retrieval", "v"), items=items, **_COMMON
    )


def _conversion(factors: tuple[Factor, ...]) -> Conversion:
    return Conversion(
        id="c", seq=Seq(7, 0), cause=_CAUSE, model=ModelRef("conversion", "v"), item_id="i1", touch_id="t",
        probability=0.1234, horizon_ms=7 * 86_400_000, factors=factors, **_COMMON,
    )  # fmt: skip


def _tally(title: str = "Lumvita smartphone 101") -> Tally:
    tally = Tally("")
    tally.conversions.total, tally.recommendations.total = 1_000_000, 900_000
    tally.rejected.update({"from_future": 1234, "key_mismatch": 999, "not_json": 998, "invalid_field": 997})
    tally.titles = {
        f"i{n}": CatalogItem(item_id=f"i{n}", title=title, price_minor=20_995, currency="EUR") for n in range(1, 30)
    }
    for name, metrics in (("conversion", {"log_loss": 0.12345, "calibration_ratio": 1.02}), ("retrieval", {})):
        manifest = Manifest(
            name=name, version="000000001731-729b66b9", learner_epoch=1, learned=(), feature_schema="s", trained_ms=0,
            examples=1731, files=(), metrics=metrics, software={},
        )  # fmt: skip
        tally.models[name] = ModelSeen(manifest, 8)
    tally.delays.recent_ms.extend([31, 31, 1_400])
    return tally


def _lines(moment: Moment, tally: Tally, shown: Shown, doing: str = "") -> list[str]:
    out = io.StringIO()
    Console(file=out, width=100, height=30, color_system=None).print(screen(moment, tally, shown, doing))
    return strip_control_codes(out.getvalue()).splitlines()


_FACTORS = (Factor("touch*item_views", 0.45), Factor("depth", -0.2), Factor("channel", 0.1))


@pytest.mark.parametrize(
    ("moment", "tally", "shown"),
    [
        (replace(_MOMENT, running_s=0.0), Tally(""), Shown()),
        (_MOMENT, _tally(), Shown(_conversion(_FACTORS), _recommendations(20))),
        (_MOMENT, _tally("A very long title " * 12), Shown(_conversion(()), _recommendations(2))),
    ],
    ids=["before anything came", "in full", "long titles, short lists"],
)
def test_the_picture_always_has_100_columns_and_24_rows(moment: Moment, tally: Tally, shown: Shown) -> None:
    lines = _lines(moment, tally, shown)
    assert [len(line) for line in lines] == [100] * 24


def test_the_picture_tells_of_flow_models_recommendations_and_conversion() -> None:
    text = "\n".join(_lines(_MOMENT, _tally(), Shown(_conversion(_FACTORS), _recommendations(20))))
    for expected in (
        "2010-01-14 16:37", "1.9 days a second", "01:23", "1,234,567", "1,998/s", "1,000,000", "31 ms", "1.4 s",
        "version 8, from 1,731 labels", "log loss 0.1235, predicted / observed 1.02", "1234 from future",
        "recommendations for u0000042, visit 3", "209.95 EUR", "also viewed with Lumvita smartphone 101",
        "and 14 also viewed", "within 7 days with a probability of 12.34%", "touch and item views", "+0.45", "-0.20",
        "Ctrl-C",
    ):  # fmt: skip
        assert expected in text, expected


def test_the_hint_gives_way_to_what_is_being_done() -> None:
    last = _lines(_MOMENT, _tally(), Shown(), "the shop is closed")[-1]
    assert last.strip() == "the shop is closed"


def test_an_item_that_the_catalogue_lacks_is_shown_by_its_id() -> None:
    tally = _tally()
    tally.titles.clear()
    text = "\n".join(_lines(_MOMENT, tally, Shown(_conversion(()), _recommendations(1))))
    assert "also viewed with i1" in text
    assert "the prior: no model has learned anything yet" in text


def test_what_is_on_display_stays_long_enough_to_be_read() -> None:
    tally, shown = Tally(""), Shown()
    tally.last_conversion = _conversion(())
    shown.renew(tally, 10.0)
    assert shown.conversion is not None
    tally.last_recommendations = _recommendations(1)
    shown.renew(tally, 10.2)
    assert shown.recommendations is not None, "nothing is worth waiting for while a half is missing"
    tally.last_recommendations = _recommendations(2)
    shown.renew(tally, 13.0)
    assert shown.recommendations == _recommendations(1)
    shown.renew(tally, 13.3)
    assert shown.recommendations == _recommendations(2)


def test_rates_are_of_the_last_seconds_only() -> None:
    rates = Rates()
    assert rates.add(0.0, 0.0) == (0.0,)
    assert rates.add(1.0, 500.0) == (500.0,)
    for second in range(2, 10):
        latest = rates.add(float(second), 500.0 + (second - 1) * 1_000.0)
    assert latest == (1_000.0,)


def test_a_moment_counts_days_from_the_opening() -> None:
    pulse, tally = Pulse(1_000), Tally("")
    pulse.at(0.0, 1_000, tally)
    tally.conversions.total, tally.events = 30, 100
    moment = pulse.at(2.0, 1_000 + 86_400_000, tally)
    assert (moment.simulated_days, moment.events_rate, moment.conversions_rate, moment.days_rate) == (1.0, 50, 15, 0.5)


@pytest.mark.parametrize(("ms", "text"), [(None, "-"), (0, "0 ms"), (999, "999 ms"), (1_449, "1.4 s")])
def test_delays_are_written_for_people(ms: int | None, text: str) -> None:
    assert delay(ms) == text


def test_progress_is_one_line() -> None:
    line = progress(_MOMENT, _tally())
    assert "\n" not in line
    assert "1,234,567 events (1,998/s)" in line
    assert "conversion model 8 log loss 0.1235" in line


def _checked(tally: Tally, exit_code: int = 0, undelivered: int = 0, *, due: bool = True) -> dict[str, bool]:
    return checks(tally, worker_exit_code=exit_code, undelivered=undelivered, outputs_due=due)


def test_a_good_run_passes_every_check_and_each_fault_fails_its_own() -> None:
    assert all(_checked(_tally()).values())
    assert not _checked(_tally(), exit_code=3)["worker_ended_well"]
    assert not _checked(_tally(), undelivered=1)["events_delivered"]
    for attribute, name in (("conversions", "outputs_readable"), ("recommendations", "outputs_readable")):
        tally = _tally()
        getattr(tally, attribute).unreadable = 1
        assert not _checked(tally)[name]
    tally = _tally()
    tally.ids.repeated = 1
    assert not _checked(tally)["ids_unique"]
    tally = _tally()
    tally.recommendations.empty = tally.recommendations.total
    assert not _checked(tally)["recommendations_arrived"], "empty lists are no recommendations"
    assert not _checked(Tally(""))["conversions_arrived"]
    assert all(_checked(Tally(""), due=False).values()), "who watches may leave before the first output"


def test_the_summary_is_json_and_not_ok_if_one_check_failed() -> None:
    tally = _tally()
    tally.conversions.probability_sum = 30_000.0
    whole = summary(_MOMENT, tally, found={"a": True}, duplicates=2, worker_exit_code=0)
    assert msgspec.json.decode(msgspec.json.encode(whole)) == whole
    assert whole["ok"]
    assert whole["conversions"] == {"count": 1_000_000, "degraded": 0, "mean_probability": 0.03}
    assert whole["models"]["conversion"]["log_loss"] == 0.12345
    assert whole["duplicates_dropped"] == 2
    assert not summary(_MOMENT, tally, found={"a": True, "b": False}, duplicates=0, worker_exit_code=0)["ok"]
    empty = summary(replace(_MOMENT, running_s=0.0), Tally(""), found={}, duplicates=0, worker_exit_code=0)
    assert empty["conversions"]["mean_probability"] is None
    assert empty["delay_ms"] == {"p50": None, "p99": None}
