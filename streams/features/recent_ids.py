"""Event ids seen lately, so that a producer's repeat counts once: the last 64 of a user within 24 hours."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

MAX_IDS = 64
WITHIN_MINUTES = 24 * 60
_DIGEST, _MINUTE = 8, 4


class RecentIds(msgspec.Struct, array_like=True, gc=False):
    """64-bit digests of ids, oldest first, and the minute (event time, 32 bits, big-endian) of each.

    Packed, since the state of every changed user is encoded for the changelog with each batch.
    """

    digests: bytes = b""
    minutes: bytes = b""

    def __len__(self) -> int:
        return len(self.digests) // _DIGEST


def seen_or_add(recent: RecentIds, event_id: str, at_ms: int) -> bool:
    """True if the id was seen within 24 hours of `at_ms`, before or after; else remember it and say False.

    Two ids share a digest with a probability of 64 / 2**64 per event.
    """
    digest = blake2b(event_id.encode(), digest_size=_DIGEST).digest()
    minute = at_ms // 60_000
    place = _find(recent.digests, digest)
    if place is not None:
        seen_at = recent.minutes[place * _MINUTE : (place + 1) * _MINUTE]
        if abs(minute - int.from_bytes(seen_at, "big")) <= WITHIN_MINUTES:
            return True
        _forget(recent, place)
    recent.digests += digest
    recent.minutes += minute.to_bytes(_MINUTE, "big")
    if len(recent) > MAX_IDS:
        _forget(recent, 0)
    return False


def _find(digests: bytes, digest: bytes) -> int | None:
    """Place of a digest; a match across two of them is none."""
    at = digests.find(digest)
    while at >= 0 and at % _DIGEST:
        at = digests.find(digest, at + 1)
    return None if at < 0 else at // _DIGEST


def _forget(recent: RecentIds, place: int) -> None:
    recent.digests = recent.digests[: place * _DIGEST] + recent.digests[(place + 1) * _DIGEST :]
    recent.minutes = recent.minutes[: place * _MINUTE] + recent.minutes[(place + 1) * _MINUTE :]
