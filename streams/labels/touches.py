"""Pending touches of one user and the rule of attribution, in event time.

A touch is the first view or cart of an item by a user in a session. A purchase within the horizon credits the user's
latest touch of the item, and only that one. A touch waits until the watermark has passed its horizon; then its label is
final, whichever it is. Positives wait as well: learned at once, they would come a week before the negatives of their
time, and every prediction of the first week would be too high.
"""

from __future__ import annotations

from bisect import insort
from enum import Enum
from typing import Literal

import msgspec

HORIZON_MS = 7 * 86_400_000
MAX_PENDING = 64
"""Of one user; beyond it the oldest is cut without a label, and counted."""

VIEW, ADD_TO_CART = 0, 1
TOUCH_TYPES: tuple[Literal["view", "add_to_cart"], ...] = ("view", "add_to_cart")
"""What contracts call a touch of each kind."""


class Touch(msgspec.Struct, array_like=True, gc=False):
    """A touch that waits for its label.

    `epoch` and `offset`: of its event, hence its id. `features`: the vector of its own time, packed, which is what the
    label is learned with. `delay_ms`: from the touch to its purchase, negative while there is none.
    """

    epoch: int
    offset: int
    item_id: str
    kind: int
    touched_ms: int
    features: bytes
    delay_ms: int = -1

    @property
    def due_ms(self) -> int:
        """The watermark at which the label is final."""
        return self.touched_ms + HORIZON_MS


class Credit(Enum):
    """What a purchase did."""

    CREDITED = "credited"
    REPEATED = "repeated"
    UNATTRIBUTED = "unattributed"


def _order(touch: Touch) -> tuple[int, int, int]:
    return touch.touched_ms, touch.epoch, touch.offset


def add(pending: list[Touch], touch: Touch) -> int:
    """Let a touch wait, in the order of time; returns how many were cut for it (0 or 1): the oldest."""
    if not pending or pending[-1].touched_ms <= touch.touched_ms:
        pending.append(touch)
    else:  # it came late
        insort(pending, touch, key=_order)
    if len(pending) <= MAX_PENDING:
        return 0
    del pending[0]
    return 1


def credit(pending: list[Touch], item_id: str, purchased_ms: int, known_ms: int) -> Credit:
    """Credit a purchase to the latest touch of its item that it follows within the horizon.

    A further purchase on the same touch is a repeat and credits nothing, no older touch either. `known_ms`: watermark
    at the purchase's arrival, from which the delay is measured.
    """
    for touch in reversed(pending):
        if touch.item_id == item_id and touch.touched_ms <= purchased_ms < touch.due_ms:
            if touch.delay_ms >= 0:
                return Credit.REPEATED
            touch.delay_ms = max(known_ms - touch.touched_ms, 0)
            return Credit.CREDITED
    return Credit.UNATTRIBUTED


def mature(pending: list[Touch], watermark_ms: int) -> list[Touch]:
    """Take out the touches that are due at `watermark_ms`, earliest first."""
    count = 0
    while count < len(pending) and pending[count].due_ms <= watermark_ms:
        count += 1
    due = pending[:count]
    del pending[:count]
    return due


def next_due_ms(pending: list[Touch]) -> int | None:
    """When the first of them is due; none if nothing waits."""
    return pending[0].due_ms if pending else None
