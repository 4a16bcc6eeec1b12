"""Real clickstreams through a real broker and real worker processes, once undisturbed and once killed half-way."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from engine_driver import OUTPUT_TOPICS, Engine, Folded, Log, Worker, assert_as_folded, wait_for

from streams.contracts.topics import Name
from streams.replay.produce import Sender, Totals
from streams.replay.sources import open_source

pytestmark = [pytest.mark.broker, pytest.mark.data]

REES46 = Path("rees46") / "2019-10-01_first_hours.csv.gz"
TAOBAO = Path("taobao") / "users_first_six_days.csv.gz"


class Processed(NamedTuple):
    """An environment whose log was processed. `folded`: what the folds make of it."""

    engine: Engine
    sent: Totals
    log: Log
    worker: Worker
    folded: Folded


def _send(engine: Engine, source: str) -> Totals:
    return Sender(engine.bootstrap, engine.kafka.topic_prefix).run(open_source(source))


def _counts(path: Path, column: int, columns: int) -> Counter[str]:
    """Whole rows by their kind, counted without any reader of ours."""
    with gzip.open(path, "rt") as file:
        rows = [line.rstrip("\n").split(",") for line in file][1:]
    return Counter(row[column] for row in rows if len(row) == columns)


def _kinds(engine: Engine) -> dict[Name, int]:
    return {name: engine.count(name) for name in OUTPUT_TOPICS}


def _kill_half_way(engine: Engine, outputs: int) -> Worker:
    """Kill a worker when a part of `outputs` is on the broker, then let another finish. Returns the second."""
    with engine.running() as first:
        seen = wait_for(
            "a third of the outputs", lambda: (n := sum(_kinds(engine).values())) > outputs * 0.3 and n, 60, 0.01
        )
        first.kill()
    assert seen < outputs, "it was killed too late to prove anything"
    second = engine.run()
    assert sum(_kinds(engine).values()) >= outputs
    return second


@pytest.fixture(scope="module")
def rees46(new_engine: Callable[..., Engine], shared_data: Path) -> Processed:
    engine = new_engine()
    sent = _send(engine, f"rees46:{shared_data / REES46}")
    worker = engine.run()
    log = engine.read(Name.EVENTS)
    return Processed(engine, sent, log, worker, assert_as_folded(engine, log=log))


def test_of_the_rees46_log_the_cut_row_is_refused_and_every_other_is_accounted_for_once(rees46: Processed) -> None:
    assert rees46.sent == Totals(read=17_435, sent=17_434, acknowledged=17_434, refused=1)
    ledgers = rees46.engine.ledgers().values()
    assert sum(ledger.events + ledger.rejected + ledger.duplicates for ledger in ledgers) == 17_434
    assert sum(ledger.rejected + ledger.ticks for ledger in ledgers) == 0


def test_every_view_and_cart_of_rees46_gets_one_conversion_and_every_view_one_recommendation(
    rees46: Processed, shared_data: Path
) -> None:
    rows = _counts(shared_data / REES46, 1, 9)
    repeats = sum(ledger.duplicates for ledger in rees46.engine.ledgers().values())
    assert repeats == 0, "rows that occur twice are two events: the file has no event ids"
    conversions = [json.loads(r.value or b"") for part in rees46.engine.read(Name.CONVERSIONS).values() for r in part]
    lists = [json.loads(r.value or b"") for part in rees46.engine.read(Name.RECOMMENDATIONS).values() for r in part]
    assert len(conversions) == rows["view"] + rows["cart"]
    assert len(lists) == rows["view"]
    inputs = {
        (partition, record.offset): json.loads(record.value or b"")
        for partition, records in rees46.log.items()
        for record in records
    }
    for outputs, kinds in ((conversions, {"view", "add_to_cart"}), (lists, {"view"})):
        causes = {(output["cause"]["partition"], output["cause"]["offset"]): output for output in outputs}
        assert len({output["id"] for output in outputs}) == len(causes) == len(outputs)
        assert causes.keys() == {place for place, event in inputs.items() if event["type"] in kinds}
        for place, output in causes.items():
            event = inputs[place]
            assert (output["user_id"], output["ts_ms"]) == (event["user_id"], event["ts_ms"])
            assert output["cause"]["event_id"] == event["event_id"]


def test_outputs_and_states_of_rees46_equal_the_folds_of_its_log(rees46: Processed) -> None:
    # The fixture compared every field and every byte; here is what was compared.
    assert {name: sum(map(len, parts.values())) for name, parts in rees46.folded.outputs.items()} == _kinds(
        rees46.engine
    )
    users = {record.key for records in rees46.log.values() for record in records}
    assert rees46.folded.states.keys() > users
    assert len(rees46.folded.states) == len(users) + rees46.engine.kafka.partitions


def test_a_worker_killed_within_the_rees46_log_loses_nothing_and_repeats_only_equals(
    rees46: Processed, new_engine: Callable[..., Engine], shared_data: Path
) -> None:
    engine = new_engine()
    _send(engine, f"rees46:{shared_data / REES46}")
    _kill_half_way(engine, sum(_kinds(rees46.engine).values()))
    folded = assert_as_folded(engine, repeats=True)
    assert len(folded.states) == len(rees46.folded.states)


@pytest.mark.slow
def test_a_worker_killed_within_the_taobao_log_loses_nothing_and_repeats_only_equals(
    new_engine: Callable[..., Engine], shared_data: Path
) -> None:
    engine = new_engine()
    assert _send(engine, f"taobao:{shared_data / TAOBAO}").acknowledged == 52_088
    rows = _counts(shared_data / TAOBAO, 4, 5)
    conversions, lists = rows["pv"] + rows["cart"], rows["pv"]
    _kill_half_way(engine, conversions + lists)
    folded = assert_as_folded(engine, repeats=True)
    assert sum(map(len, folded.outputs[Name.CONVERSIONS].values())) == conversions
    assert sum(map(len, folded.outputs[Name.RECOMMENDATIONS].values())) == lists
    ledgers = engine.ledgers().values()
    assert sum(ledger.events for ledger in ledgers) == 52_088
    assert sum(ledger.duplicates + ledger.rejected for ledger in ledgers) == 0
