"""The fold of one partition: (state, batch of records, models) -> effects. The whole score role without Kafka.

For each record, in order: decode → move time → fire the timers that are due → skip what was applied → drop duplicates →
fold the profile → labels → decisions and examples. An applied record that comes again is a no-op, except that it moves
time. What is promised of delivery and state rests on the shell sending the effects in the order that `Effects` states.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

import msgspec

from streams import __version__, user_state
from streams.contracts import headers, rejected
from streams.contracts.events import TOUCH_EVENTS, AddToCart, Consent, EraseUser, Purchase, Tick, UserEvent, View
from streams.contracts.examples import NextItem, Outcome
from streams.contracts.identity import Cause, Seq, Source
from streams.contracts.topics import Name
from streams.decisions import DECISIONS
from streams.decisions.context import Context, Models
from streams.features import profile as profiles
from streams.features import recent_ids, view
from streams.ingest import FUTURE_TOLERANCE_MS, Record, Refusal, decode, is_bot
from streams.labels import touches
from streams.labels.timers import Timers
from streams.user_state import Ledger, UserState

_CACHED_USERS = 4096
"""Decoded states kept per partition: about 30 KB each. A miss costs a decoding, some 12 us."""
_encode = msgspec.json.Encoder().encode


class Output(msgspec.Struct, frozen=True, gc=False):
    """A record to send to the partition number of its source."""

    topic: Name
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


class Tally(msgspec.Struct):
    """What a batch was made of, for metrics: attempts, so a replay counts again.

    `emitted`: arrival times of the events behind the outputs, by (kind, degraded).
    """

    records: int = 0
    rejected: dict[str, int] = {}
    replayed: int = 0
    duplicates: int = 0
    late: int = 0
    emitted: dict[tuple[str, bool], list[int]] = {}
    newest_ms: int = 0


class Effects(msgspec.Struct):
    """What a batch asks of the shell, in this order: send `outputs` → all acknowledged → send `states` to the changelog
    in their order → acknowledged → store them → commit `next_offset` with `watermark_ms`."""

    outputs: list[Output] = []
    states: dict[bytes, bytes] = {}
    next_offset: int = 0
    watermark_ms: int = 0
    tally: Tally = msgspec.field(default_factory=Tally)


class PartitionFold:
    """State of one partition between batches.

    Args:
        source: the partition.
        stored: reads a state record from the store, by key.
        watermark_ms: belongs to the offset at which reading starts.
        keys: of all stored user states of the partition, to set their timers.
    """

    def __init__(
        self,
        source: Source,
        stored: Callable[[bytes], bytes | None],
        *,
        watermark_ms: int = 0,
        keys: Iterable[bytes] = (),
    ) -> None:
        self.source = source
        self.watermark_ms = watermark_ms
        self._stored = stored
        self._unstored: dict[bytes, bytes] = {}
        self._users: OrderedDict[bytes, UserState] = OrderedDict()
        self._timers = Timers()
        data = stored(user_state.ledger_key(source.partition))
        self.ledger = Ledger() if data is None else user_state.decode_ledger(data)
        if self.ledger.epoch > source.epoch:
            message = (
                f"stored state is of epoch {self.ledger.epoch}, the worker runs {source.epoch}; raise engine.epoch"
            )
            raise user_state.StateError(message)
        if self.ledger.epoch < source.epoch:
            self.ledger.epoch, self.ledger.applied = source.epoch, -1
        for key in keys:
            if not user_state.is_ledger(key):
                self._set_timer(key, self._user(key))

    def apply(self, records: Sequence[Record], models: Models) -> Effects:
        """Fold a batch, in offset order. Pure but for this object's own memory of the partition."""
        batch = _Batch(self, models)
        for record in records:
            batch.apply(record)
        effects = batch.finish()
        if records:
            effects.next_offset = records[-1].offset + 1
        effects.watermark_ms = self.watermark_ms
        return effects

    def persisted(self, effects: Effects) -> None:
        """The shell has stored the states of `effects`; they can be read from the store from now on."""
        for key, data in effects.states.items():
            if self._unstored.get(key) is data:
                del self._unstored[key]

    def _user(self, key: bytes) -> UserState:
        """The live state of a user; his guard starts anew with a new epoch, since offsets do."""
        user = self._users.get(key)
        if user is not None:
            self._users.move_to_end(key)
        else:
            data = self._unstored.get(key) or self._stored(key)
            user = UserState() if data is None else user_state.decode_user(data)
            if user.epoch != self.source.epoch:
                user.epoch, user.applied = self.source.epoch, -1
                user.profile.session.items.clear()  # offsets of the old epoch; the next view opens a touch of this one
            if len(self._users) >= _CACHED_USERS:
                self._users.popitem(last=False)  # the one not used for longest
            self._users[key] = user
        return user

    def _set_timer(self, key: bytes, user: UserState) -> None:
        due_ms = touches.next_due_ms(user.pending)
        if due_ms is not None:
            self._timers.set(key, due_ms)


class _Batch:
    """One call of `PartitionFold.apply`: what has changed and what is to be sent so far."""

    def __init__(self, partition: PartitionFold, models: Models) -> None:
        self._partition = partition
        self._source = partition.source
        self._ledger = partition.ledger
        self._models = models
        self._changed: dict[bytes, UserState] = {}
        self._effects = Effects()
        self._indexes: dict[Name, int] = {}

    def apply(self, record: Record) -> None:
        tally, ledger = self._effects.tally, self._ledger
        tally.records += 1
        self._indexes.clear()
        counted = record.offset > ledger.applied
        if counted:
            ledger.applied = record.offset

        event = decode(record.key, record.value, record.arrival_ms)
        if isinstance(event, Refusal):
            ledger.rejected += counted
            self._reject(record, event)
            return
        tally.newest_ms = max(tally.newest_ms, event.ts_ms)
        self._move_time(min(event.ts_ms, record.arrival_ms + FUTURE_TOLERANCE_MS), record, counted)
        if isinstance(event, Tick):
            ledger.ticks += counted
            return

        key = record.key or b""
        user = self._user(key)
        if record.offset <= user.applied:
            tally.replayed += 1
            return
        user.applied = record.offset
        self._changed[key] = user
        if recent_ids.seen_or_add(user.recent, event.event_id, event.ts_ms):
            tally.duplicates += 1
            ledger.duplicates += counted
            return
        ledger.events += counted
        if isinstance(event, EraseUser):
            self._erase(user, counted)
        else:
            self._fold(key, user, event, record, counted)

    def finish(self) -> Effects:
        """States last, the ledger first among them: its guard never lags behind that of a user."""
        partition, states = self._partition, self._effects.states
        if self._effects.tally.records:
            self._ledger.epoch = self._source.epoch
            states[user_state.ledger_key(self._source.partition)] = user_state.encode(self._ledger)
        for key, user in self._changed.items():
            states[key] = user_state.encode(user)
        partition._unstored.update(states)
        return self._effects

    def _user(self, key: bytes) -> UserState:
        return self._changed.get(key) or self._partition._user(key)

    def _move_time(self, to_ms: int, record: Record, counted: bool) -> None:
        """Raise the watermark and let the touches mature that are due at it, earliest first."""
        partition = self._partition
        if to_ms <= partition.watermark_ms:
            return
        partition.watermark_ms = to_ms
        matured: list[tuple[int, bytes, touches.Touch]] = []
        ahead: list[bytes] = []
        for key in partition._timers.due(to_ms):
            user = self._user(key)
            if record.offset <= user.applied:  # a replay: what this record let mature did so before the crash
                ahead.append(key)
                continue
            due = touches.mature(user.pending, to_ms)
            partition._set_timer(key, user)
            if not due:
                continue
            self._ledger.matured += len(due) * counted
            self._changed[key] = user
            if key != record.key:  # the guard of the record's own user is set when the record itself is applied
                user.applied = record.offset
            matured += [(touch.due_ms, key, touch) for touch in due]
        for key in ahead:
            partition._set_timer(key, self._user(key))
        # Not in the order of the timers: one may have been set for a touch that was cut, and isn't after a crash.
        for _, key, touch in sorted(matured, key=itemgetter(0, 1)):
            self._send_outcome(key, touch, record.offset)

    def _fold(self, key: bytes, user: UserState, event: UserEvent, record: Record, counted: bool) -> None:
        profile, ledger = user.profile, self._ledger
        step = profiles.fold(profile, event, record.offset)
        bot = is_bot(event.user_agent)
        self._effects.tally.late += step.late
        ledger.late += counted and step.late
        ledger.too_old += counted and step.too_old
        if isinstance(event, Consent) and not event.granted:
            ledger.cut += len(user.pending) * counted
            user.pending.clear()
        if isinstance(event, Purchase) and step.personal:
            self._credit(user, event, counted)
        if not isinstance(event, TOUCH_EVENTS):
            return

        features = view.view(profile, profile.last_ms)
        vector = view.touch_vector(features, profile, event)
        teaches = step.personal and not bot
        touch_id = "" if step.late else self._source.output_id(profile.session.items[event.item_id], "touch")
        if step.first_of_item and teaches:
            touch = touches.Touch(
                epoch=self._source.epoch,
                offset=record.offset,
                item_id=event.item_id,
                kind=touches.ADD_TO_CART if isinstance(event, AddToCart) else touches.VIEW,
                touched_ms=event.ts_ms,
                features=view.pack(vector),
            )
            ledger.touches += counted
            if (
                touch.due_ms <= self._partition.watermark_ms
            ):  # it came after its own horizon: a purchase may have passed
                ledger.cut += counted
            else:
                ledger.cut += touches.add(user.pending, touch) * counted
                self._partition._timers.set(key, touch.due_ms)

        source = self._source
        cause = Cause(source.topic, source.epoch, source.partition, record.offset, event.event_id)
        context = Context(source, record.offset, cause, event, step, profile, vector, touch_id, self._models)
        parent = _traceparent(record)
        for decision in DECISIONS:
            output = decision.decide(context)
            if output is not None:
                self._send(decision.TOPIC, decision.KIND, key, output, output.id, event.ts_ms, parent)
                emitted = self._effects.tally.emitted.setdefault((decision.KIND, output.degraded), [])
                emitted.append(record.arrival_ms)
        if step.moved_to_item and teaches:
            self._send_next_item(key, event, step.previous, record.offset)

    def _credit(self, user: UserState, event: Purchase, counted: bool) -> None:
        credit = touches.credit(user.pending, event.item_id, event.ts_ms, self._partition.watermark_ms)
        ledger = self._ledger
        ledger.credited += counted and credit is touches.Credit.CREDITED
        ledger.repeated += counted and credit is touches.Credit.REPEATED
        ledger.unattributed += counted and credit is touches.Credit.UNATTRIBUTED

    def _erase(self, user: UserState, counted: bool) -> None:
        """Forget all but the guard, which keeps a replay from bringing the user back."""
        self._ledger.cut += len(user.pending) * counted
        fresh = UserState(epoch=user.epoch, applied=user.applied)
        for name in UserState.__struct_fields__:
            setattr(user, name, getattr(fresh, name))

    def _reject(self, record: Record, refusal: Refusal) -> None:
        self._effects.tally.rejected[refusal.code] = self._effects.tally.rejected.get(refusal.code, 0) + 1
        source = self._source
        record_id = source.output_id(record.offset, "rejected")
        payload = rejected.preserve(record.key, record.value, record.headers)
        letter = rejected.Rejected(
            id=record_id,
            seq=self._next_seq(Name.REJECTED, record.offset),
            failure=rejected.Failure(code=refusal.code, path=refusal.path, message=refusal.message),
            processor=rejected.Processor(name="clickwake", version=__version__),
            payload=payload,
            origin=rejected.Origin(
                topic=source.topic,
                epoch=source.epoch,
                partition=source.partition,
                offset=record.offset,
                arrival_ms=record.arrival_ms,
            ),
            attempt=_attempt(record),
        )
        value_out = _encode(letter)
        self._effects.outputs.append(
            Output(Name.REJECTED, payload.key, value_out, _HEADERS["rejected"].build(record_id, record.arrival_ms))
        )

    def _send_outcome(self, key: bytes, touch: touches.Touch, offset: int) -> None:
        origin = Source(self._source.topic, touch.epoch, self._source.partition)
        example = Outcome(
            id=origin.output_id(touch.offset, "outcome"),
            seq=self._next_seq(Name.EXAMPLES, offset),
            ts_ms=self._partition.watermark_ms,
            epoch=self._source.epoch,
            touch_id=origin.output_id(touch.offset, "touch"),
            touch_type=touches.TOUCH_TYPES[touch.kind],
            item_id=touch.item_id,
            touched_ms=touch.touched_ms,
            horizon_ms=touches.HORIZON_MS,
            label=1 if touch.delay_ms >= 0 else 0,
            delay_ms=touch.delay_ms if touch.delay_ms >= 0 else None,
            feature_schema=view.SCHEMA,
            features=touch.features,
        )
        self._send(Name.EXAMPLES, "outcome", key, example, example.id, example.ts_ms, None)

    def _send_next_item(self, key: bytes, event: View | AddToCart, previous: list[str], offset: int) -> None:
        example = NextItem(
            id=self._source.output_id(offset, "next_item"),
            seq=self._next_seq(Name.EXAMPLES, offset),
            ts_ms=self._partition.watermark_ms,
            epoch=self._source.epoch,
            prefix=tuple(previous),
            item_id=event.item_id,
            category=event.category,
            brand=event.brand,
        )
        self._send(Name.EXAMPLES, "next_item", key, example, example.id, event.ts_ms, None)

    def _next_seq(self, topic: Name, offset: int) -> Seq:
        """Outputs that one record triggers on one topic are numbered from 0."""
        index = self._indexes.get(topic, 0)
        self._indexes[topic] = index + 1
        return Seq(offset, index)

    def _send(
        self,
        topic: Name,
        kind: str,
        key: bytes,
        record: msgspec.Struct,
        record_id: str,
        time_ms: int,
        traceparent: bytes | None,
    ) -> None:
        template = _HEADERS[kind]
        self._effects.outputs.append(
            Output(topic, key, _encode(record), template.build(record_id, time_ms, traceparent))
        )


_HEADERS = {
    kind: headers.HeaderTemplate(f"clickwake.{kind}.v1", "/clickwake/score")
    for kind in ("conversion", "recommendations", "outcome", "next_item", "rejected")
}


def _traceparent(record: Record) -> bytes | None:
    for name, value in record.headers:
        if name == headers.TRACEPARENT:
            return value if value is not None and len(value) <= headers.MAX_TRACEPARENT_BYTES else None
    return None


def _attempt(record: Record) -> int:
    """1, or one more than a replay of dead letters says."""
    for name, value in record.headers:
        if name == headers.ATTEMPT and value is not None and value.isdigit() and len(value) < 4:
            return int(value) + 1
    return 1
