"""The state record of a user and the ledger record of a partition, as they stand in the changelog.

Both carry a schema version and a guard: the epoch and the offset up to which the source partition is applied. An event
at or below the guard was applied and its outputs were delivered, so it is skipped when it comes again.
"""

from __future__ import annotations

import msgspec

from streams.features.profile import Profile
from streams.features.recent_ids import RecentIds
from streams.labels.touches import Touch

VERSION = 1


class StateError(Exception):
    """A stored state can't be used by this program as it is set up; the message says what to do."""


class UserState(msgspec.Struct, array_like=True, gc=False):
    """All that is kept of one user. `applied`: offset of the last record that changed it, in `epoch`."""

    version: int = VERSION
    epoch: int = 0
    applied: int = -1
    profile: Profile = msgspec.field(default_factory=Profile)
    recent: RecentIds = msgspec.field(default_factory=RecentIds)
    pending: list[Touch] = []


_LEDGER = b"\xff\xfeledger:"


def ledger_key(partition: int) -> bytes:
    """Key of a partition's ledger: not UTF-8, so no user can have it."""
    return _LEDGER + str(partition).encode()


def is_ledger(key: bytes) -> bool:
    return key.startswith(_LEDGER)


class Ledger(msgspec.Struct, array_like=True):
    """What became of every record of a partition up to `applied`: the first four sum up to all records read.

    `late`: applied, but too old for its session; `too_old`: for every window as well; `touches` opened
    end as `matured` or `cut` (given up for newer ones or for consent, or come
    after their own horizon) or wait. `credited`, `repeated`, `unattributed`:
    what became of purchases.
    """

    version: int = VERSION
    epoch: int = 0
    applied: int = -1
    events: int = 0
    rejected: int = 0
    duplicates: int = 0
    ticks: int = 0
    late: int = 0
    too_old: int = 0
    touches: int = 0
    matured: int = 0
    cut: int = 0
    credited: int = 0
    repeated: int = 0
    unattributed: int = 0


_encoder = msgspec.msgpack.Encoder()
_user_decoder: msgspec.msgpack.Decoder[UserState] = msgspec.msgpack.Decoder(UserState)
_ledger_decoder: msgspec.msgpack.Decoder[Ledger] = msgspec.msgpack.Decoder(Ledger)


def encode(state: UserState | Ledger) -> bytes:
    """Equal states give equal bytes: msgpack of arrays and of maps in insertion order."""
    return _encoder.encode(state)


def decode_user(data: bytes) -> UserState:
    """Read a state record.

    Raises:
        StateError: not written by this version.
    """
    _check_version(data)
    return _user_decoder.decode(data)


def decode_ledger(data: bytes) -> Ledger:
    """Read a ledger record.

    Raises:
        StateError: not written by this version.
    """
    _check_version(data)
    return _ledger_decoder.decode(data)


def _check_version(data: bytes) -> None:
    # An array of at most 15 fields starts with one byte, then the version as a small integer.
    version = data[1] if data[0] < 0xDC else msgspec.msgpack.decode(data)[0]
    if version != VERSION:
        raise StateError(
            f"stored state has version {version}, this program knows {VERSION}; run the version that wrote it"
        )
