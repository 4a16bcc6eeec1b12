"""The learn role: snapshots equal to the fold whatever happens to the process, and never two learners."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import msgspec
import pytest
from engine_driver import Engine, Log, Sent, fold, wait_for

from models.registry.store import ModelStore
from streams.contracts.snapshots import Manifest
from streams.contracts.topics import Name
from streams.ingest import Record
from streams.learning import FAMILIES, LearnFold
from streams.replay.sources import SourceEvent, open_source

pytestmark = pytest.mark.broker

EVENTS = 12_000
_decoder = msgspec.json.Decoder(Manifest)


@pytest.fixture(scope="module")
def examples() -> list[Sent]:
    """Examples of a shop's two weeks: the fold's own, since what is tested is their reader."""
    rows = open_source(f"simulator:conversion?events={EVENTS}&users=150&seed=12")
    events = [row for row in rows if isinstance(row, SourceEvent) and row.topic == "events"]
    log: Log = {0: [Record(n, row.ts_ms, row.key, row.value) for n, row in enumerate(events)]}
    outputs = fold(log).outputs[Name.EXAMPLES][0]
    examples = [Sent(output.key, output.value, output.headers) for output in outputs]
    assert len([1 for example in examples if b'"outcome"' in (example.value or b"")]) > 500
    return examples


def manifests(engine: Engine) -> Iterator[Manifest]:
    return (_decoder.decode(record.value or b"") for record in engine.read(Name.SNAPSHOTS)[0])


def newest(engine: Engine) -> dict[str, Manifest]:
    """The last manifest of each model."""
    return {manifest.name: manifest for manifest in manifests(engine)}


def _files(engine: Engine) -> dict[str, dict[str, bytes]]:
    """The newest files of each model, checked against their manifest."""
    store = ModelStore(engine.store)
    return {name: store.read(name, m.version, m.files) for name, m in newest(engine).items()}


def _learned(engine: Engine) -> dict[str, dict[int, int]]:
    return {name: {mark.partition: mark.next_offset for mark in m.learned} for name, m in newest(engine).items()}


def _assert_as_folded(engine: Engine) -> None:
    """Files, counts and marks of the newest snapshots are those of an undisturbed fold."""
    log = engine.read(Name.EXAMPLES)
    files, last = _files(engine), newest(engine)
    for family in FAMILIES:
        learner = LearnFold(family())
        learner.apply(0, log[0])
        assert last[family.name].learned == learner.learned()
        assert last[family.name].examples == learner.family.examples > 0
        assert last[family.name].trained_ms == learner.trained_ms
        assert files[family.name] == learner.family.files()


@pytest.fixture(scope="module")
def killed(new_engine: Callable[..., Engine], examples: list[Sent]) -> Engine:
    """One partition of examples. The learner is killed after snapshots of a part, another one goes on."""
    engine = new_engine(1)
    half = len(examples) // 2
    engine.send(examples[:half], Name.EXAMPLES)
    with engine.running("learn", model__conversion_every_s=0.5, model__retrieval_every_s=1) as learner:
        wait_for("both snapshots", lambda: len(newest(engine)) == 2, 60)
        engine.send(examples[half : half + 400], Name.EXAMPLES)
        learner.kill()
    assert all(marks[0] < len(examples) for marks in _learned(engine).values())
    engine.send(examples[half + 400 :], Name.EXAMPLES)
    engine.send(examples[-30:], Name.EXAMPLES)  # as a score worker repeats them after a crash
    engine.run("learn")
    return engine


def test_a_learner_that_was_killed_ends_with_the_very_bytes_of_an_undisturbed_one(
    killed: Engine, examples: list[Sent]
) -> None:
    _assert_as_folded(killed)
    assert _learned(killed) == {name: {0: len(examples) + 30} for name in ("conversion", "retrieval")}
    assert killed.committed("learn")[0][0] == len(examples) + 30


def test_every_learner_has_a_higher_epoch_and_no_snapshot_ranks_below_the_one_before(killed: Engine) -> None:
    for name in ("conversion", "retrieval"):
        ranks = [manifest.rank for manifest in manifests(killed) if manifest.name == name]
        assert ranks == sorted(ranks)
        assert ranks[0][0] < ranks[-1][0]


@pytest.mark.slow
@pytest.mark.slow
def test_marks_of_all_partitions_reach_their_ends_after_a_kill(
    new_engine: Callable[..., Engine], examples: list[Sent]
) -> None:
    """How partitions interleave is not fixed, so the models may differ; what they learned from may not."""
    engine = new_engine(4)
    placed = [example._replace(partition=n % 4) for n, example in enumerate(examples)]
    engine.send(placed, Name.EXAMPLES)
    with engine.running("learn", model__conversion_every_s=0.3) as learner:
        wait_for("a snapshot", lambda: newest(engine), 60, 0.02)
        learner.kill()
    engine.run("learn")
    ends = engine.ends(Name.EXAMPLES)
    assert _learned(engine) == dict.fromkeys(("conversion", "retrieval"), ends)
    outcomes = sum(b'"kind":"outcome"' in (example.value or b"") for example in examples)
    last = newest(engine)
    assert (last["conversion"].examples, last["retrieval"].examples) == (outcomes, len(examples) - outcomes)
    assert _files(engine).keys() == {"conversion", "retrieval"}


@pytest.mark.slow
def test_a_second_learner_stops_and_leaves_the_first_undisturbed(killed: Engine, examples: list[Sent]) -> None:
    with killed.running("learn") as first:
        wait_for("it is ready", lambda: first.get("/ready")[0] == 200)
        before = _learned(killed)
        second = killed.start("learn")
        assert second.wait(90) == 3
        (line,) = second.said("worker stops: a promise can't be kept")
        assert line["error"] == "NotAloneError"
        assert "Run one learn worker" in line["reason"]
        assert _learned(killed) == before
        killed.send([*itertools.islice(examples, 10), *examples[-10:]], Name.EXAMPLES)
        wait_for("the first goes on", lambda: _learned(killed) != before)
        assert first.stop() == 0
    assert all(marks[0] == killed.ends(Name.EXAMPLES)[0] for marks in _learned(killed).values())


def test_examples_deleted_unlearned_stop_the_learner_with_the_repair(
    new_engine: Callable[..., Engine], examples: list[Sent]
) -> None:
    from confluent_kafka import TopicPartition

    engine = new_engine(1)
    engine.send(examples[:100], Name.EXAMPLES)
    engine.run("learn")
    engine.send(examples[100:200], Name.EXAMPLES)
    for done in engine.admin.delete_records([TopicPartition(engine.topic(Name.EXAMPLES), 0, 150)]).values():
        done.result(10)
    learner = engine.start("learn")
    assert learner.wait(60) == 3
    (line,) = learner.said("worker stops: a promise can't be kept")
    assert line["error"] == "Gap"
    assert "raise the retention" in line["reason"]
