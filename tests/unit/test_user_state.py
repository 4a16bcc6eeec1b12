"""State and ledger records as they stand in the changelog."""

from __future__ import annotations

import msgspec
import pytest

from streams import user_state
from streams.contracts.events import AddToCart, Refund, View
from streams.contracts.identity import Source
from streams.contracts.topics import BY_NAME, Name
from streams.scoring import PartitionFold
from streams.testing import MemoryEngine, MemoryLog, echo_models
from streams.testing.strategies import START_MS
from streams.user_state import Ledger, StateError, UserState

MAX_STATE_BYTES = 640 * 1024


def user_with_history() -> UserState:
    log = MemoryLog()
    for number in range(100):
        log.append(
            View(event_id=f"e{number}", user_id="ann", ts_ms=START_MS + number * 400_000, item_id=f"i{number % 7}")
        )
    engine = MemoryEngine(log=log)
    engine.batch()
    return engine.users["ann"]


def test_a_state_survives_a_round_trip_to_the_byte() -> None:
    data = user_state.encode(user_with_history())
    assert user_state.encode(user_state.decode_user(data)) == data
    ledger = user_state.encode(Ledger(epoch=3, applied=2**40, events=5, unattributed=9))
    assert user_state.encode(user_state.decode_ledger(ledger)) == ledger


def test_a_state_of_another_version_is_refused_with_advice() -> None:
    for record, decode in (
        (UserState(version=2), user_state.decode_user),
        (Ledger(version=2), user_state.decode_ledger),
    ):
        with pytest.raises(StateError, match=r"version 2.*knows 1.*run the version that wrote it"):
            decode(user_state.encode(record))
    longer = msgspec.msgpack.encode([2, *range(20)])
    with pytest.raises(StateError, match="version 2"):
        user_state.decode_ledger(longer)


def test_a_state_with_fields_of_a_later_program_is_read() -> None:
    data = msgspec.msgpack.encode([1, *range(20)])
    assert user_state.decode_ledger(data).epoch == 0


def test_no_user_can_have_the_key_of_a_ledger() -> None:
    key = user_state.ledger_key(12)
    assert user_state.is_ledger(key)
    assert key != user_state.ledger_key(1)
    with pytest.raises(UnicodeDecodeError):
        key.decode()
    assert not user_state.is_ledger("ÿþledger:1".encode())


def test_the_state_of_the_worst_user_fits_into_a_record() -> None:
    """A cart every half hour of longest ids: profile, 64 touches with their vectors and 64 ids seen."""
    log = MemoryLog()
    for number in range(60 * 48):
        wide = f"{number % 30:04d}" + "\U0001f600" * 508
        item = f"{number:04d}" + "\U0001f600" * 124
        at_ms = START_MS + number * 1_800_000 if number < 2_600 else START_MS + 2_600 * 1_800_000 + number * 1_000
        kind = AddToCart if number % 2 or number >= 2_600 else Refund
        log.append(kind(event_id=f"e{number}", user_id="ann", ts_ms=at_ms, item_id=item, category=wide, brand=wide))
    engine = MemoryEngine(log=log)
    engine.batch()
    user = engine.users["ann"]
    assert (len(user.pending), len(user.recent)) == (64, 64)
    size = len(user_state.encode(user))
    assert 0.8 * MAX_STATE_BYTES < size < MAX_STATE_BYTES
    assert int(BY_NAME[Name.USER_STATE].config["max.message.bytes"]) > MAX_STATE_BYTES


def test_an_active_user_takes_little() -> None:
    """The budget: 1.5 KB without touches for the median active user, 300 bytes for a touch."""
    user = user_with_history()
    touches, user.pending = user.pending, []
    assert len(touches) == 7
    assert len(user_state.encode(user)) < 3_000
    assert max(len(msgspec.msgpack.encode(touch)) for touch in touches) < 300


# --- epochs ---------------------------------------------------------------------------------------------------------


def test_state_of_a_later_epoch_is_refused_with_advice() -> None:
    stored = {user_state.ledger_key(0): user_state.encode(Ledger(epoch=4))}
    with pytest.raises(StateError, match=r"epoch 4.*runs 3.*raise engine\.epoch"):
        PartitionFold(Source(Name.EVENTS, 3, 0), stored.get)


def test_a_new_epoch_keeps_users_and_counts_but_begins_the_offsets_anew() -> None:
    old = MemoryEngine()
    old.run([View(event_id="e0", user_id="ann", ts_ms=START_MS, item_id="i1")])
    new = MemoryEngine(source=Source(Name.EVENTS, 2, 0))
    new.changelog = list(old.changelog)
    new.start()
    new.run(
        [
            View(event_id="e0", user_id="ann", ts_ms=START_MS, item_id="i1"),
            View(event_id="e1", user_id="ann", ts_ms=START_MS + 8 * 86_400_000, item_id="i2"),
        ]
    )
    ann = new.users["ann"]
    assert (ann.epoch, ann.applied) == (2, 1)
    assert list(ann.profile.items) == ["i1", "i2"]
    ledger = new.ledger
    assert (ledger.epoch, ledger.applied, ledger.events, ledger.duplicates, ledger.matured) == (2, 1, 2, 1, 1)
    outcome = new.examples[0]
    assert outcome.id == f"{Name.EVENTS}:1:0:0:outcome:0", "the touch was of epoch 1"


def test_nothing_to_do_changes_nothing() -> None:
    fold = PartitionFold(Source(Name.EVENTS, 1, 0), lambda _: None)
    effects = fold.apply([], echo_models())
    assert (effects.outputs, effects.states) == ([], {})
