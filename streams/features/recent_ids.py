"""Event ids seen lately, so that a producer's repeat counts once: the last 64 of a user within 24 hours."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

MAX_IDS = 64
WITHIN_MINUTES = 24 * 60


class RecentIds(msgspec.Struct, array_like=True, gc=False):
    """64-bit digests of ids, oldest first, and the minute (event time) of each."""

    digests: list[int] = []
    minutes: list[int] = []


def seen_or_add(recent: RecentIds, event_id: str, at_ms: int) -> bool:
    """True if the id was seen within 24 hours of `at_ms`, before or after; else remember it and say False.

    Two ids share a digest with a probability of 64 / 2**64 per event.
    """
    digest = int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest(), "big")
    minute = at_ms // 60_000
    if digest in recent.digests:
        index = recent.digests.index(digest)
        if abs(minute - recent.minutes[index]) <= WITHIN_MINUTES:
            return True
        del recent.digests[index], recent.minutes[index]
    recent.digests.append(digest)
    recent.minutes.append(minute)
    if len(recent.digests) > MAX_IDS:
        del recent.digests[0], recent.minutes[0]
    return False
