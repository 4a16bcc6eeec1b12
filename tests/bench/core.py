"""Speed of the pure core: one partition's fold, and the learning of its examples, without Kafka.

Everything is measured warm, in one process on one core, on the log of the simulated shop, in blocks of 500 events (a
worker's batch); figures are medians over blocks, of CPU time. The whole fold is measured in variants that take turns on
the same events, so that a busy machine slows all of them alike. The stages are those of the real code, recommendations
off (see `stopwatch`).

    python -m tests.bench core
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from time import perf_counter_ns, thread_time_ns
from typing import Any, NamedTuple

from models.conversion.scorer import ConversionScorer
from models.retrieval.recommender import RetrievalIndex
from streams import scoring, user_state
from streams.contracts.identity import Source
from streams.contracts.outputs import ModelRef
from streams.contracts.topics import Name
from streams.decisions import conversions, recommendations
from streams.decisions.context import Models
from streams.features import view
from streams.ingest import Record
from streams.labels import touches
from streams.learning import ConversionFamily, LearnFold, RetrievalFamily
from streams.scoring import Effects, PartitionFold
from streams.serving import CONVERSION, RETRIEVAL
from streams.simulator import Shop, SimulatorOptions
from tests.bench import report
from tests.bench.stopwatch import Stopwatch

BUDGET_US = 25.0
"""Of the core without model inference, per event."""

BLOCK = 500
TURN = 5
"""Blocks that a variant folds before the next one takes over: long enough to find its own users in the caches."""

STAGES: dict[str, list[tuple[Any, str]]] = {
    "decode": [(scoring, "decode")],
    "dedupe": [(scoring.recent_ids, "seen_or_add")],
    "profile": [(scoring.profiles, "fold")],
    "windows and view": [(view, "view")],
    "vector": [(view, "touch_vector"), (view, "pack")],
    "labels, touches, timers": [
        (scoring._Batch, "_move_time"),
        (scoring._Batch, "_credit"),
        (touches, "add"),
        (scoring.PartitionFold, "_set_timer"),
    ],
    "examples": [(scoring._Batch, "_send_outcome"), (scoring._Batch, "_send_next_item")],
    "decision": [(conversions, "decide")],
    "conversion inference": [(ConversionScorer, "predict_explained")],
    "encoding outputs and headers": [(scoring._Batch, "_send")],
    "encoding states": [(scoring._Batch, "finish")],
}
"""What of the real code belongs to which stage; the rest is the loop of the fold itself."""


class Variant(NamedTuple):
    """How the fold is run: the decisions made, and the models used."""

    decisions: tuple[Any, ...]
    models: Models


class _Constant:
    """Answers at once."""

    def predict_explained(self, values: Sequence[int | str | None], top: int) -> tuple[float, list[tuple[str, float]]]:
        return 0.03, []


class _Warm(NamedTuple):
    """A partition in the middle of its log."""

    stored: dict[bytes, bytes]
    watermark_ms: int
    examples: list[Record]

    def fold(self) -> PartitionFold:
        stored = dict(self.stored)
        users = [key for key in stored if not user_state.is_ledger(key)]
        return PartitionFold(SOURCE, stored.get, watermark_ms=self.watermark_ms, keys=users)


SOURCE = Source(Name.EVENTS.value, 1, 0)


def run(seed: int, warm: int, measured: int) -> dict[str, Any]:
    """All figures. `warm`, `measured`: events."""
    options = SimulatorOptions(seed=seed, events=warm + measured)
    arrivals = (arrival for arrival in Shop(options).stream() if arrival.kind == "event")
    log = [Record(offset, a.arrival_ms, a.key, a.value) for offset, a in enumerate(arrivals)]
    nothing = _models(_Constant(), None)
    partition = _warm_up(log[:warm], nothing)
    learning, scorer, index = _learning(partition.examples)
    trained = _models(scorer, index)
    variants = {
        "no decisions (fold, labels, examples, states)": Variant((), nothing),
        "core without model inference": Variant((conversions,), nothing),
        "the same, and empty recommendations": Variant((conversions, recommendations), nothing),
        "full scoring path, recommendations off": Variant((conversions,), trained),
        "with 20 recommendations per view": Variant((conversions, recommendations), trained),
    }
    blocks = list(_blocks(log[warm:]))
    per_event, reference = _variants(partition, blocks, variants)
    return {
        "us_per_event": {name: _summary(values) for name, values in per_event.items()},
        "events_per_s": {name: 1e6 / report.median(values) for name, values in per_event.items()},
        "budget_us": {"core without model inference": BUDGET_US},
        "stages_us": _stages(partition, blocks, trained),
        "learning_us_per_example": learning,
        "reference_loop_us": _summary(reference) | {"best": min(reference)},
        "log": _facts(log[warm:], partition, blocks, trained),
    }


def _warm_up(log: Sequence[Record], models: Models) -> _Warm:
    stored: dict[bytes, bytes] = {}
    fold = PartitionFold(SOURCE, stored.get)
    examples: list[Record] = []
    for block in _blocks(log):
        effects = fold.apply(block, models)
        stored.update(effects.states)
        fold.persisted(effects)
        for output in effects.outputs:
            if output.topic is Name.EXAMPLES:
                examples.append(Record(len(examples), 0, output.key, output.value))
    return _Warm(stored, fold.watermark_ms, examples)


def _learning(examples: Sequence[Record]) -> tuple[dict[str, Any], ConversionScorer, RetrievalIndex]:
    """Time of decoding and learning one example, from the second half of the blocks; and the models learned."""
    figures: dict[str, Any] = {}
    conversion, retrieval = ConversionFamily(), RetrievalFamily()
    for family, mark in ((conversion, b'"kind":"outcome"'), (retrieval, b'"kind":"next_item"')):
        values_of_mine = [example.value for example in examples if mark in (example.value or b"")]
        mine = [Record(offset, 0, None, value) for offset, value in enumerate(values_of_mine)]
        learner = LearnFold(family)
        values = []
        for block in _blocks(mine):
            started = thread_time_ns()
            learner.apply(0, block)
            values.append((thread_time_ns() - started) / 1000 / len(block))
        figures[family.name] = _summary(values[len(values) // 2 :]) | {"examples": len(mine)}
    return figures, CONVERSION.load(conversion.files()), RETRIEVAL.load(retrieval.files())


def _variants(
    partition: _Warm, blocks: Sequence[Sequence[Record]], variants: dict[str, Variant]
) -> tuple[dict[str, list[float]], list[float]]:
    """Microseconds per event by variant and block; and of the reference loop, between the turns."""
    folds = {name: partition.fold() for name in variants}
    values: dict[str, list[float]] = defaultdict(list)
    reference: list[float] = []
    usual = scoring.DECISIONS
    try:
        for first in range(0, len(blocks), TURN):
            reference.append(_reference())
            for name, variant in variants.items():
                scoring.DECISIONS = variant.decisions  # type: ignore[assignment]
                for block in blocks[first : first + TURN]:
                    values[name].append(_timed(folds[name], block, variant.models) / len(block))
    finally:
        scoring.DECISIONS = usual
    return values, reference


def _reference() -> float:
    """Microseconds of CPU for a fixed piece of plain Python: how fast the core is just now, others on the machine
    sharing its caches and clock."""
    started = thread_time_ns()
    total, table = 0, dict.fromkeys(range(256), 1)
    for number in range(20_000):
        total += table[number & 255]
    return (thread_time_ns() - started) / 1000


def _timed(fold: PartitionFold, block: Sequence[Record], models: Models) -> float:
    """Microseconds; what the shell does with the effects is not counted."""
    started = thread_time_ns()
    effects = fold.apply(block, models)
    ended = thread_time_ns()
    fold.persisted(effects)
    return (ended - started) / 1000


def _stages(partition: _Warm, blocks: Sequence[Sequence[Record]], models: Models) -> dict[str, Any]:
    """Per event of the log (not per call), with a trained conversion model. What the clock on the wall says of the
    stages is scaled to the CPU time of their block."""
    fold, stopwatch = partition.fold(), Stopwatch()
    values: dict[str, list[float]] = {stage: [] for stage in (*STAGES, "rest")}
    events = sum(map(len, blocks))
    usual, scoring.DECISIONS = scoring.DECISIONS, (conversions,)  # type: ignore[assignment]
    try:
        with stopwatch.watching(STAGES):
            for block in blocks:
                stopwatch.take()
                started, cpu_started = perf_counter_ns(), thread_time_ns()
                effects = fold.apply(block, models)
                used = (thread_time_ns() - cpu_started) / (perf_counter_ns() - started)
                for stage, ns in stopwatch.take().items():
                    values[stage].append(ns * used / 1000 / len(block))
                fold.persisted(effects)
    finally:
        scoring.DECISIONS = usual
    return {
        stage: {"per_event": report.median(found) if found else 0.0, "calls_per_event": stopwatch.calls[stage] / events}
        for stage, found in values.items()
    }


def _facts(
    log: Sequence[Record], partition: _Warm, blocks: Sequence[Sequence[Record]], models: Models
) -> dict[str, Any]:
    """What the log is like, so that figures from another one can be compared."""
    fold = partition.fold()
    outputs: dict[str, int] = defaultdict(int)
    states = state_bytes = 0
    for block in blocks:
        effects: Effects = fold.apply(block, models)
        fold.persisted(effects)
        for output in effects.outputs:
            outputs[output.topic.value] += 1
        states += len(effects.states)
        state_bytes += sum(map(len, effects.states.values()))
    return {
        "events": len(log),
        "block": BLOCK,
        "users_with_state": len(partition.stored) - 1,
        "outputs_per_event": {topic: count / len(log) for topic, count in sorted(outputs.items())},
        "states_per_event": states / len(log),
        "state_bytes_mean": state_bytes / states,
        "items_in_the_index": len(models.retrieval.walk) if isinstance(models.retrieval, RetrievalIndex) else 0,
    }


def _models(conversion: Any, retrieval: RetrievalIndex | None) -> Models:
    return Models(
        conversion=conversion,
        conversion_ref=ModelRef("conversion", "bench"),
        retrieval=retrieval,
        retrieval_ref=ModelRef("retrieval", "" if retrieval is None else "bench"),
        sellable=lambda item: True,
        newest_items=(),
        catalog_offset=0,
    )


def _blocks(log: Sequence[Record]) -> Iterator[list[Record]]:
    rest = iter(log)
    while block := list(islice(rest, BLOCK)):
        yield block


def _summary(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": report.median(ordered),
        "p10": ordered[len(ordered) // 10],
        "p90": ordered[len(ordered) * 9 // 10],
        "blocks": len(ordered),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench core", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--warm", type=int, default=120_000, help="events folded before measuring")
    parser.add_argument("--measured", type=int, default=40_000, help="events measured")
    parser.add_argument("--cpu", type=int, default=0, help="core to run on")
    parser.add_argument("--dry", action="store_true", help="print only, write no result file")
    given = parser.parse_args(arguments)
    report.pin(given.cpu)
    measured = run(given.seed, given.warm, given.measured)
    command = f"python -m tests.bench core --seed {given.seed} --warm {given.warm} --measured {given.measured}"
    report.finish("core", command, [given.seed], measured, dry=given.dry)
