"""What can't be kept is said and stops the worker with exit code 3; once it is mended, nothing is missing."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from engine_driver import Engine, Sent, Worker, assert_as_folded, event, wait_for

import streams.broker
from streams.contracts.topics import Name
from streams.ops import cluster, topics
from streams.ops.settings import BrokerSettings, KafkaSettings

pytestmark = pytest.mark.broker

_OLD_MS = 1_767_600_000_000
BROKEN = 3


def _views(numbers: Iterable[int], partition: int | None = None) -> list[Sent]:
    views = [event("view", n, f"u{n % 7}", _OLD_MS + 1000 * n, item_id=f"i{n % 50}") for n in numbers]
    return [view._replace(partition=partition) for view in views]


def _assert_broken(worker: Worker, error: str, *words: str, within_s: float = 90) -> None:
    assert worker.wait(within_s) == BROKEN, worker.text[-3000:]
    (line,) = worker.said("worker stops: a promise can't be kept")
    assert line["error"] == error
    for word in words:
        assert word in line["reason"]


def _set_limit(engine: Engine, name: Name, size: int) -> None:
    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, engine.topic(name), incremental_configs=[entry])
    for done in engine.admin.incremental_alter_configs([resource]).values():
        done.result(10)


@pytest.mark.parametrize("name", [Name.RECOMMENDATIONS, pytest.param(Name.USER_STATE, marks=pytest.mark.slow)])
def test_what_kafka_refuses_stops_the_worker_with_nothing_committed_and_comes_after_the_repair(
    new_engine: Callable[..., Engine], name: Name
) -> None:
    """Outputs and changelog alike: the offset follows only when both are acknowledged."""
    engine = new_engine(1)
    engine.send(_views(range(300)))
    engine.run()
    before = engine.committed()
    _set_limit(engine, name, 100)
    engine.send(_views(range(300, 600)))
    _assert_broken(engine.start(), "DeliveryError", engine.topic(name), "partition 0", "MessageSizeTooLarge")
    assert engine.committed() == before
    assert engine.ledgers()[0].applied == 299
    _set_limit(engine, name, 2 * 1024 * 1024)
    engine.run()
    folded = assert_as_folded(engine, repeats=True)
    assert len(folded.outputs[Name.CONVERSIONS][0]) == 600


@pytest.mark.slow
@pytest.mark.slow
def test_a_broker_that_goes_away_stops_the_worker_and_after_its_return_nothing_is_missing(tmp_path: Path) -> None:
    settings = BrokerSettings(port=0, data_dir=tmp_path / "data", heap_mb=256)
    info = streams.broker.start(settings)
    settings = settings.model_copy(update={"port": info.port})
    kafka = KafkaSettings(bootstrap=info.bootstrap, topic_prefix="x.", partitions=2, request_timeout_s=30)
    engine = Engine(kafka, tmp_path)
    try:
        with cluster.admin_client(info.bootstrap, 30) as admin:
            topics.apply(admin, kafka)
        engine.send(_views(range(200)))
        worker = engine.start(engine__delivery_timeout_s=2)
        wait_for("outputs", lambda: engine.count(Name.CONVERSIONS) == 200)
        wait_for("commit", lambda: sum(offset for offset, _ in engine.committed().values()) == 200)
        engine.send(_views(range(200, 5000)))
        wait_for("work under way", lambda: engine.count(Name.CONVERSIONS) > 300)
        worker.process.send_signal(signal.SIGSTOP)  # so that the broker dies with the worker in its midst
        streams.broker.stop(settings)
        worker.process.send_signal(signal.SIGCONT)
        assert worker.wait(90) == BROKEN, worker.text[-3000:]
        assert worker.said("worker stops: a promise can't be kept"), worker.text[-3000:]
        streams.broker.start(settings)
        engine.reconnect()
        engine.run()
        assert_as_folded(engine, repeats=True)
    finally:
        engine.close()
        streams.broker.stop(settings)


def _delete_before(engine: Engine, offset: int) -> None:
    place = TopicPartition(engine.topic(Name.EVENTS), 0, offset)
    for done in engine.admin.delete_records([place]).values():
        done.result(10)


def test_records_deleted_before_they_were_read_stop_the_worker_with_the_repair(
    new_engine: Callable[..., Engine],
) -> None:
    engine = new_engine(1)
    engine.send(_views(range(10)))
    engine.run()
    engine.send(_views(range(10, 20)))
    _delete_before(engine, 20)  # nothing is left to be read: it must not wait for the next event to say so
    _assert_broken(engine.start(), "RetentionPassedError", "10 records were deleted unread", "reset the group")
    assert engine.committed()[0][0] == 10


def test_records_deleted_under_a_running_worker_stop_it_too(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(1)
    engine.send(_views(range(10)))
    with engine.running(engine__session_timeout_s=30) as worker:
        wait_for("commit", lambda: engine.committed().get(0, (0, ""))[0] == 10)
        worker.process.send_signal(signal.SIGSTOP)
        engine.send(_views(range(10, 20)))
        _delete_before(engine, 15)
        worker.process.send_signal(signal.SIGCONT)
        # A fetch that was on its way may still have brought them: then nothing was lost.
        wait_for("end", lambda: worker.process.poll() is not None or engine.count(Name.CONVERSIONS) == 20, 60)
        if engine.count(Name.CONVERSIONS) < 20:
            _assert_broken(worker, "RetentionPassedError", "5 records were deleted unread")


def test_an_offset_that_another_program_committed_stops_the_worker_with_the_repair(
    new_engine: Callable[..., Engine],
) -> None:
    engine = new_engine(1)
    engine.send(_views(range(10)))
    engine.commit(0, 5)
    _assert_broken(engine.start(), "ValueError", "instead of a watermark", "Reset the group")
    assert engine.count(Name.CONVERSIONS) == 0


def test_states_of_a_later_epoch_stop_the_worker_with_the_repair(new_engine: Callable[..., Engine]) -> None:
    engine = new_engine(1)
    engine.send(_views(range(10)))
    engine.run(engine__epoch=2)
    engine.send(_views(range(10, 12)))
    _assert_broken(engine.start(), "StateError", "raise engine.epoch")


def test_missing_topics_stop_the_worker_with_the_repair(broker: str, tmp_path: Path) -> None:
    engine = Engine(KafkaSettings(bootstrap=broker, topic_prefix="nowhere.", partitions=1), tmp_path)
    worker = engine.start()
    try:
        assert worker.wait(60) != 0
        assert "topics apply" in worker.text
        assert "Traceback" not in worker.text
    finally:
        engine.close()
