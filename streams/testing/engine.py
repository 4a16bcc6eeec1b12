"""The commit protocol of `streams.engine.partition` in memory, with crashes as values in the input list.

What survives a crash is what Kafka has: the log, the output topics, the changelog, the committed position. The fold,
its timers and the local store are lost and made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum, IntEnum
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from streams import user_state
from streams.contracts.events import Event
from streams.contracts.examples import Example
from streams.contracts.identity import Source
from streams.contracts.topics import Name
from streams.decisions.context import Models
from streams.scoring import Effects, Output, PartitionFold
from streams.testing.answers import echo_models
from streams.testing.log import MemoryLog
from streams.user_state import Ledger, UserState

_examples: msgspec.json.Decoder[Example] = msgspec.json.Decoder(Example)
_T = TypeVar("_T")


class Step(IntEnum):
    """The five steps of a batch, numbered as in `streams.engine.partition`."""

    FOLD = 1
    OUTPUTS = 2
    CHANGELOG = 3
    STORE = 4
    COMMIT = 5


class Crash(NamedTuple):
    """Die in `step`: after `done` of its records where it sends some (all of them, not yet acknowledged, if none), else
    right after it."""

    step: Step = Step.FOLD
    done: int | None = None


class Duplicate(NamedTuple):
    """The producer sends the record at `offset` once more."""

    offset: int


class Late(NamedTuple):
    """The next event comes this much too late."""

    by_ms: int


class _Commit(Enum):
    COMMIT = "commit"


CRASH: Final = Crash()
COMMIT: Final[Literal[_Commit.COMMIT]] = _Commit.COMMIT
DUPLICATE = Duplicate
LATE = Late

Instruction = Event | bytes | None | Crash | Duplicate | Late | _Commit


class Position(NamedTuple):
    """What is committed for the group: where to read on, and the watermark that belongs there."""

    offset: int = 0
    watermark_ms: int = 0


class _Died(Exception):
    pass


class MemoryEngine:
    """One partition, its worker and the topics around it.

    Args:
        models: the model set of all batches; `echo_models()` if none.
        source: names the partition in ids.
        log: records to begin with; an empty log if none.
    """

    def __init__(self, models: Models | None = None, *, source: Source | None = None, log: MemoryLog | None = None):
        self.models = models or echo_models()
        self.source = source or Source(Name.EVENTS, 1, 0)
        self.log = log or MemoryLog()
        self.outputs: dict[Name, list[Output]] = {}
        self.changelog: list[tuple[bytes, bytes]] = []
        self.commits: list[Position] = []
        self.crashes = 0
        self.start()

    def start(self) -> None:
        """Recover: the store from the last record of each key, the fold from store and committed position."""
        self.store: dict[bytes, bytes] = dict(self.changelog)
        self.fold = PartitionFold(
            self.source, self._stored, watermark_ms=self.committed.watermark_ms, keys=list(self.store)
        )

    def run(self, script: Iterable[Instruction]) -> None:
        """Follow a script, then process what is left of it.

        An event, or bytes (a record without key), is appended to the log. COMMIT processes all that was not committed
        as one batch; CRASH does so up to a step and dies there; DUPLICATE and LATE are said of the producer.
        """
        late_ms = 0
        for instruction in script:
            match instruction:
                case Crash():
                    self.batch(crash=instruction)
                case _Commit():
                    self.batch()
                case Late(by_ms):
                    late_ms = by_ms
                case Duplicate(offset):
                    self.log.repeat(offset)
                case bytes() | None:
                    self.log.append_raw(None, instruction)
                case event:
                    self.log.append(event, late_ms=late_ms)
                    late_ms = 0
        self.batch()

    def batch(self, size: int | None = None, crash: Crash | None = None) -> None:
        """Process at most `size` records from the committed offset on; recover if it dies on the way."""
        self._crash = crash
        try:
            self._process(size)
        except _Died:
            self.crashes += 1
            self.start()

    def _process(self, size: int | None) -> None:
        records = self.log.read(self.committed.offset, size)
        if not records:
            if self._crash:
                raise _Died
            return
        # 1. fold the batch, with one set of models
        effects = self.fold.apply(records, self.models)
        self._may_die(Step.FOLD)
        # 2. send outputs, examples and dead letters; wait until all are acknowledged
        self._send_outputs(effects)
        # 3. send the changed states to the changelog, the ledger first; wait until all are acknowledged
        self._send_states(effects)
        # 4. write the local store
        self._write_store(effects)
        # 5. release the source offset, with its watermark, for the next commit
        self._commit(effects)

    def _send_outputs(self, effects: Effects) -> None:
        self._send(
            Step.OUTPUTS, effects.outputs, lambda output: self.outputs.setdefault(output.topic, []).append(output)
        )

    def _send_states(self, effects: Effects) -> None:
        self._send(Step.CHANGELOG, list(effects.states.items()), self.changelog.append)

    def _write_store(self, effects: Effects) -> None:
        self.store.update(effects.states)
        self.fold.persisted(effects)
        self._may_die(Step.STORE)

    def _commit(self, effects: Effects) -> None:
        self.commits.append(Position(effects.next_offset, effects.watermark_ms))
        self._may_die(Step.COMMIT)

    def _send(self, step: Step, records: Sequence[_T], to: Callable[[_T], None]) -> None:
        dying = self._crash is not None and self._crash.step is step
        for record in records[: self._crash.done] if self._crash and dying else records:
            to(record)
        self._may_die(step)

    def _may_die(self, step: Step) -> None:
        if self._crash is not None and self._crash.step is step:
            raise _Died

    def _stored(self, key: bytes) -> bytes | None:
        return self.store.get(key)

    @property
    def committed(self) -> Position:
        return self.commits[-1] if self.commits else Position()

    @property
    def ledger(self) -> Ledger:
        """As stored."""
        data = self.store.get(user_state.ledger_key(self.source.partition))
        return Ledger() if data is None else user_state.decode_ledger(data)

    @property
    def users(self) -> dict[str, UserState]:
        """All user states as stored, by user."""
        return {
            key.decode(): user_state.decode_user(data)
            for key, data in self.store.items()
            if not user_state.is_ledger(key)
        }

    def values(self, topic: Name) -> list[bytes]:
        """All that was sent to a topic, repeats included."""
        return [output.value for output in self.outputs.get(topic, ())]

    @property
    def examples(self) -> list[Example]:
        """All training examples sent, repeats included."""
        return [_examples.decode(value) for value in self.values(Name.EXAMPLES)]
