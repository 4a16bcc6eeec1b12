"""Pending touches of one user and the rule of attribution, in event time.

A touch is the first view or cart of an item by a user in a session. A purchase within the horizon credits the user's
latest touch of the item, and only that one. A touch that nobody credited is negative once the watermark
has passed its horizon.
"""

from __future__ import annotations

import msgspec

HORIZON_MS = 7 * 86_400_000
MAX_PENDING = 64
"""Of one user; beyond it the oldest is cut without a label, and counted."""

VIEW, ADD_TO_CART = 0, 1
TOUCH_TYPES = ("view", "add_to_cart")


class Touch(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A touch that waits for its label.

    `epoch` and `offset`: of its event, hence its id. `features`: the vector of its own time, packed, which is what the
    label is learned with.
    """

    epoch: int
    offset: int
    item_id: str
    kind: int
    touched_ms: int
    features: bytes

    @property
    def due_ms(self) -> int:
        """The watermark at which it is known that no purchase came."""
        return self.touched_ms + HORIZON_MS


def add(pending: list[Touch], touch: Touch) -> int:
    """Let a touch wait; returns how many older ones were cut for it (0 or 1)."""
    pending.append(touch)
    if len(pending) <= MAX_PENDING:
        return 0
    del pending[0]
    return 1


def credit(pending: list[Touch], item_id: str, purchased_ms: int) -> Touch | None:
    """Take out the latest touch of the item that a purchase at `purchased_ms` follows within the horizon."""
    candidates = [t for t in pending if t.item_id == item_id and t.touched_ms <= purchased_ms < t.due_ms]
    if not candidates:
        return None
    latest = max(candidates, key=lambda touch: (touch.touched_ms, touch.offset))
    pending.remove(latest)
    return latest


def expire(pending: list[Touch], watermark_ms: int) -> list[Touch]:
    """Take out the touches that are due at `watermark_ms`, earliest first."""
    due = sorted((t for t in pending if t.due_ms <= watermark_ms), key=lambda touch: (touch.due_ms, touch.offset))
    if due:
        pending[:] = [t for t in pending if t.due_ms > watermark_ms]
    return due


def next_due_ms(pending: list[Touch]) -> int | None:
    """When the first of them is due; none if nothing waits."""
    return min((touch.due_ms for touch in pending), default=None)
