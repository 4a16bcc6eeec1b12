"""The promises of delivery and state, checked of a partition against the same log without a crash."""

from __future__ import annotations

from itertools import pairwise

from streams.contracts.topics import Name
from streams.testing.engine import MemoryEngine
from streams.testing.subscriber import Subscriber

OUTPUT_TOPICS = (Name.CONVERSIONS, Name.RECOMMENDATIONS, Name.EXAMPLES, Name.REJECTED)


def broken_promises(engine: MemoryEngine, calm: MemoryEngine) -> list[str]:
    """What doesn't hold, in words; empty if all does.

    Both have processed the same whole log with the same models, `calm` without a crash.
    """
    return [*_of_state(engine, calm), *_of_delivery(engine, calm), *_of_the_ledger(engine), *_of_commits(engine)]


def _of_state(engine: MemoryEngine, calm: MemoryEngine) -> list[str]:
    """States equal the fold of the log, byte for byte: those in the changelog and those in the store."""
    broken = []
    for name, states in (("changelog", dict(engine.changelog)), ("store", engine.store)):
        keys = sorted(states.keys() | calm.store.keys())
        differing = [key for key in keys if states.get(key) != calm.store.get(key)]
        if differing:
            broken.append(f"state: {name} differs for {differing}")
    return broken


def _of_delivery(engine: MemoryEngine, calm: MemoryEngine) -> list[str]:
    """After dropping by `seq`, each topic is what it would have been: none missing, none twice, in order."""
    broken = []
    for topic in OUTPUT_TOPICS:
        seen, expected = Subscriber().take(engine.values(topic)), calm.values(topic)
        if seen != expected:
            missing = sum(value not in seen for value in expected)
            broken.append(f"delivery: {topic} gave {len(seen)} of {len(expected)} records, {missing} missing")
        keys = {output.value: output.key for output in calm.outputs.get(topic, ())}
        if any(keys.get(output.value, output.key) != output.key for output in engine.outputs.get(topic, ())):
            broken.append(f"delivery: {topic} has other keys")
    return broken


def _of_the_ledger(engine: MemoryEngine) -> list[str]:
    """Every record is accounted for once, and so is every touch."""
    ledger, broken = engine.ledger, []
    accounted = ledger.events + ledger.rejected + ledger.duplicates + ledger.ticks
    if accounted != len(engine.log):
        broken.append(f"ledger: accounts for {accounted} of {len(engine.log)} records")
    pending = sum(len(user.pending) for user in engine.users.values())
    if ledger.touches != ledger.matured + ledger.cut + pending:
        broken.append(f"ledger: {ledger.touches} touches, {ledger.matured} matured, {ledger.cut} cut, {pending} wait")
    return broken


def _of_commits(engine: MemoryEngine) -> list[str]:
    """Neither offset nor watermark goes back, and the end of the log is reached."""
    broken = []
    if any(later < earlier for earlier, later in pairwise(engine.commits)):
        broken.append("commits: an offset goes back")
    if any(later.watermark_ms < earlier.watermark_ms for earlier, later in pairwise(engine.commits)):
        broken.append("commits: the watermark goes back")
    if engine.committed.offset != len(engine.log):
        broken.append(f"commits: end at {engine.committed.offset} of {len(engine.log)}")
    return broken
