"""What the demo's shop sends, when it waits, how the demo is asked to stop, and the compose file beside it."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path

import msgspec
import pytest

from streams.broker import config
from streams.demo import ground as grounds
from streams.demo.feed import INTERCEPT, LEAD, OPTIONS, Feed, catalog_rows, row_of
from streams.demo.signals import Stop
from streams.demo.worker import endpoints_in
from streams.ops.clock import FakeClock
from streams.ops.settings import load
from streams.simulator import Arrival, Shop

_ROOT = Path(__file__).parents[2]
_EVENT = Arrival(OPTIONS.start_ms + 5, "event", b"u1", b'{"type":"view","ts_ms":5}')


def _feed(applied: int = 0, now_ms: int = 2_000_000_000_000) -> Feed:
    return Feed("127.0.0.1:1", "", rate=10, applied=lambda: applied, clock=FakeClock(now_ms))


def test_the_catalogue_goes_to_its_topic_with_titles() -> None:
    rows = list(catalog_rows(Shop(OPTIONS, intercept=-5.0)))
    assert len(rows) == OPTIONS.items
    assert {row.topic for row in rows} == {"catalog"}  # type: ignore[union-attr]
    assert all(msgspec.json.decode(row.value)["title"] for row in rows)  # type: ignore[union-attr]


def test_the_intercept_is_that_of_a_pilot_run() -> None:
    assert Shop(OPTIONS).intercept == pytest.approx(INTERCEPT, abs=1e-3)


def test_good_and_other_bad_arrivals_are_sent_as_they_are() -> None:
    for planted in (None, "duplicate", "truncated", "wrong_type", "key_mismatch"):
        row = row_of(3, _EVENT._replace(planted=planted), lambda: 9)  # type: ignore[arg-type]
        assert (row.line, row.key, row.value, row.ts_ms, row.topic) == (
            3,
            b"u1",
            _EVENT.value,
            _EVENT.arrival_ms,
            "events",
        )


def test_an_event_from_the_future_is_ahead_of_the_real_clock_so_that_it_is_refused() -> None:
    row = row_of(1, _EVENT._replace(planted="from_future"), lambda: 1_900_000_000_000)
    assert msgspec.json.decode(row.value)["ts_ms"] > 1_900_000_000_000 + 86_400_000


def test_the_shop_waits_for_a_worker_that_is_behind_and_for_a_day_that_has_not_come() -> None:
    assert not _feed(applied=10)._must_wait(_EVENT, LEAD + 9)
    assert _feed(applied=10)._must_wait(_EVENT, LEAD + 10)
    assert _feed(now_ms=_EVENT.arrival_ms - 1)._must_wait(_EVENT, 0)
    assert not _feed(now_ms=_EVENT.arrival_ms)._must_wait(_EVENT, 0)


def test_a_stopped_shop_sends_nothing_more_even_while_it_waits() -> None:
    feed = _feed(now_ms=0)  # the first arrival lies ahead for ever
    rows: list[object] = []
    thread = threading.Thread(target=lambda: rows.extend(feed._stream_rows(Shop(OPTIONS, intercept=-5.0))))
    thread.start()
    feed.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert rows == []


def test_the_places_of_metrics_are_found_among_other_lines_of_the_log() -> None:
    log = (
        '{"event":"worker starts","role":"score","metrics":"http://127.0.0.1:7/metrics"}\n'
        "Traceback\n"
        '{"event":"else","role":"learn","metrics":"http://127.0.0.1:9/metrics"}\n'
        '{"event":"worker starts","role":"learn","metr'
    )
    assert endpoints_in(log) == {"score": "http://127.0.0.1:7"}


def test_a_request_to_stop_is_noted_and_interrupts_only_where_that_is_wanted() -> None:
    with Stop() as stop:
        assert not stop.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt), stop.raising():
            pytest.fail("who asked before isn't heard")
    with Stop() as stop:
        with pytest.raises(KeyboardInterrupt), stop.raising():
            os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGINT)  # a second one in the middle of cleaning up
        assert stop.asked
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_without_a_cluster_the_broker_and_models_are_the_demos_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ground = grounds.choose(load(kafka={"replication_factor": 3}, metrics={"port": 9100}), keep=False)
    settings = ground.settings
    assert ground.own_broker
    assert settings.broker.data_dir == tmp_path / ".clickwake/demo/broker"
    assert settings.model.store == tmp_path / ".clickwake/demo/models"
    assert (settings.broker.port, settings.metrics.port, settings.kafka.replication_factor) == (0, 0, 1)
    assert settings.kafka.topic_prefix == ""
    assert list(tmp_path.iterdir()) == [], "nothing is touched yet"


def test_on_a_given_cluster_each_run_has_a_prefix_of_its_own() -> None:
    settings = load(kafka={"bootstrap": "kafka:9092", "topic_prefix": "shop.", "replication_factor": 3})
    prefixes = {grounds.choose(settings, keep=False).prefix for _ in range(3)}
    assert len(prefixes) == 3
    assert all(re.fullmatch(r"shop\.demo\.[0-9a-f]{8}\.", prefix) for prefix in prefixes)
    assert grounds.choose(settings, keep=False).settings.kafka.replication_factor == 3


def test_a_pace_that_was_set_is_kept() -> None:
    chosen = load(model={"retrieval_every_s": 40.0})
    assert grounds.choose(chosen, keep=False).settings.model.retrieval_every_s == 40.0
    assert grounds.choose(load(), keep=False).settings.model.retrieval_every_s == grounds.RETRIEVAL_EVERY_S


def test_a_second_demo_in_the_same_folder_is_refused_and_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ground = grounds.choose(load(), keep=False)
    refused = pytest.raises(grounds.DemoError, match=r"another demo runs in .*End it")
    with grounds.locked(ground), refused, grounds.locked(ground):
        pass
    with grounds.locked(ground):
        pass


def test_the_compose_file_parses_and_is_a_whole_configuration() -> None:
    yaml = pytest.importorskip("yaml", reason="needs PyYAML to read docker-compose.yml")
    compose = yaml.safe_load((_ROOT / "docker-compose.yml").read_text())
    kafka = compose["services"]["kafka"]
    assert re.fullmatch(r"apache/kafka:4\.0\.[12]", kafka["image"])
    assert kafka["ports"] == ["127.0.0.1:9092:9092"]
    assert kafka["healthcheck"]["test"].split()[0].endswith("kafka-broker-api-versions.sh")
    environment = kafka["environment"]
    assert environment["KAFKA_ADVERTISED_LISTENERS"].startswith("HOST://127.0.0.1:9092,")
    listeners = [one.split("://")[0] for one in environment["KAFKA_LISTENERS"].split(",")]
    mapped = [one.split(":")[0] for one in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")]
    assert sorted(listeners) == sorted(mapped)
    set_names = {name.removeprefix("KAFKA_").lower().replace("_", ".") for name in environment if name != "CLUSTER_ID"}
    tuned_for_development = {
        "broker.session.timeout.ms",
        "broker.heartbeat.interval.ms",
        "log.cleaner.dedupe.buffer.size",
    }
    needed = {
        name
        for name in config.server_properties(1, 2, Path("/data"))
        if name not in tuned_for_development and not name.endswith("num.partitions")
    }
    assert needed <= set_names, "the local broker sets it, so the container needs it too"
