"""What is known of a user, as a fold over his events: (Profile, event) -> Profile, in event time and bounded size.

The fold changes the profile in place and depends on nothing but the events and their order in the log. Bounds: 50
items, 100 items per session, 12 keys per interest, 69 window rows; MAX_ENCODED_BYTES follows from the longest ids.

*Lateness.* An event belongs to the current session if it is not more than 30 minutes older than its start. An older
one is late: it counts in windows (within 30 days), totals, interests and for the item, but not for sessions, dwell
and depth.
*Consent refused.* Only the current session is kept; everything else is forgotten at once and not collected.
"""

from __future__ import annotations

import msgspec

from streams.contracts.bounds import CHANNELS
from streams.contracts.events import (
    TOUCH_EVENTS,
    AddToCart,
    Consent,
    Favorite,
    ItemEvent,
    Purchase,
    Refund,
    RemoveFromCart,
    UserEvent,
    View,
)
from streams.features import interests, windows
from streams.features.interests import Interests
from streams.features.windows import Windows

SESSION_GAP_MS = 30 * 60_000
MAX_ITEMS = 50
MAX_SESSION_ITEMS = 100
MAX_TRAIL = 20
MAX_DWELL_MS = 10 * 60_000
"""A longer pause is taken for absence, not for reading."""

CARTED, FAVORITED, BOUGHT, REFUNDED = 1, 2, 4, 8

_CHANNEL_INDEX = {channel: index for index, channel in enumerate(CHANNELS)}
_ITEM_EVENTS = (View, AddToCart, RemoveFromCart, Favorite, Purchase, Refund)

# How much an action says about taste, relative to a view.
_INTEREST_WEIGHT: dict[type, float] = {View: 1.0, Favorite: 3.0, AddToCart: 4.0, Purchase: 6.0}
_WINDOW_KIND: dict[type, int] = {
    View: windows.VIEW,
    AddToCart: windows.CART,
    Favorite: windows.FAVORITE,
    Purchase: windows.PURCHASE,
    Refund: windows.REFUND,
}
_ITEM_FLAG: dict[type, int] = {AddToCart: CARTED, Favorite: FAVORITED, Purchase: BOUGHT, Refund: REFUNDED}


class Session(msgspec.Struct, array_like=True, gc=False):
    """The current visit. `items`: distinct items and the offset of their first touch; `trail`: items looked at, oldest
    first, without repeats in a row; `watching`: since when the last item of the trail is looked at, 0 if not."""

    number: int = 0
    start_ms: int = 0
    last_ms: int = 0
    events: int = 0
    carts: int = 0
    items: dict[str, int] = {}
    trail: list[str] = []
    watching_ms: int = 0


class ItemMemory(msgspec.Struct, array_like=True, gc=False):
    """What the user did with one item. `flags`: CARTED, FAVORITED, BOUGHT, REFUNDED."""

    last_s: int = 0
    views: int = 0
    dwell_s: int = 0
    flags: int = 0


class Profile(msgspec.Struct, array_like=True, gc=False):
    """All that is kept.

    `totals`: lifetime counts by window kind; `gap_ms`: mean pause between visits, decayed; `pause_ms`: the one before
    this visit.
    """

    granted: bool = True
    first_ms: int = 0
    last_ms: int = 0
    gap_ms: int = 0
    pause_ms: int = 0
    session: Session = msgspec.field(default_factory=Session)
    windows: Windows = msgspec.field(default_factory=windows.empty)
    totals: list[int] = msgspec.field(default_factory=lambda: [0] * len(windows.KINDS))
    touches: int = 0
    channels: list[int] = msgspec.field(default_factory=lambda: [0] * len(CHANNELS))
    interests: Interests = msgspec.field(default_factory=Interests)
    items: dict[str, ItemMemory] = {}


MAX_ENCODED_BYTES = 160 * 1024
"""Of a profile whose ids and categories are all of the longest, in characters of four bytes; ASCII makes 36 KB."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """What an event was to the session.

    `late`: too old for it; `too_old`: too old for every window. `previous`: the trail before it.
    """

    late: bool
    too_old: bool
    personal: bool
    first_of_item: bool
    moved_to_item: bool
    previous: list[str]


def price_band(price_minor: int | None) -> int | None:
    """Octave of the price: 0 for free, n for 2**(n-1) to 2**n - 1 minor units, at most 31; none if unknown."""
    return None if price_minor is None else min(price_minor.bit_length(), 31)


def fold(profile: Profile, event: UserEvent, offset: int) -> Step:
    """Apply the event at `offset` to the profile, in place, and say what it was to the session."""
    if isinstance(event, Consent):
        _set_consent(profile, event.granted)
    personal = profile.granted and event.consent is not False
    late = not _enter_session(profile, event.ts_ms)
    if personal:
        profile.first_ms = min(profile.first_ms or event.ts_ms, event.ts_ms)
        profile.channels[_CHANNEL_INDEX[event.channel]] += 1
    if not isinstance(event, _ITEM_EVENTS):
        if not late:
            _look_away(profile, event.ts_ms, personal)
        return Step(late, False, personal, False, False, [])

    first, moved, previous = (False, False, []) if late else _move_in_session(profile, event, offset, personal)
    too_old = personal and not _remember(profile, event, first)
    return Step(late, too_old, personal, first, moved, previous)


def _set_consent(profile: Profile, granted: bool) -> None:
    if profile.granted and not granted:
        fresh = Profile(granted=False, session=profile.session, last_ms=profile.last_ms)
        for name in Profile.__struct_fields__:
            setattr(profile, name, getattr(fresh, name))
    profile.granted = granted


def _enter_session(profile: Profile, at_ms: int) -> bool:
    """Extend the current session or begin one; False if the event is too old for the current."""
    session = profile.session
    if session.number and at_ms < session.start_ms - SESSION_GAP_MS:
        return False
    if not session.number or at_ms > session.last_ms + SESSION_GAP_MS:
        if session.number and profile.granted:
            pause_ms = at_ms - session.last_ms
            profile.pause_ms = pause_ms
            profile.gap_ms = (3 * profile.gap_ms + pause_ms) // 4 if profile.gap_ms else pause_ms
        profile.session = Session(number=session.number + 1, start_ms=at_ms, last_ms=at_ms, events=1)
    else:
        session.events += 1
        session.start_ms = min(session.start_ms, at_ms)
        session.last_ms = max(session.last_ms, at_ms)
    profile.last_ms = max(profile.last_ms, at_ms)
    return True


def _look_away(profile: Profile, at_ms: int, personal: bool) -> None:
    """Credit the time since the last item was opened to it: it ends with whatever the user does next."""
    session = profile.session
    if session.watching_ms and at_ms >= session.watching_ms:
        memory = profile.items.get(session.trail[-1]) if session.trail else None
        if memory is not None and personal:
            memory.dwell_s += min(at_ms - session.watching_ms, MAX_DWELL_MS) // 1000
        session.watching_ms = 0


def _move_in_session(profile: Profile, event: ItemEvent, offset: int, personal: bool) -> tuple[bool, bool, list[str]]:
    """Depth, trail and dwell. Returns (first touch of the item, moved to another item, trail before)."""
    session = profile.session
    _look_away(profile, event.ts_ms, personal)
    if not isinstance(event, TOUCH_EVENTS):
        return False, False, []
    first = event.item_id not in session.items
    if first:
        session.items[event.item_id] = offset
        if len(session.items) > MAX_SESSION_ITEMS:
            del session.items[next(iter(session.items))]
    if isinstance(event, AddToCart):
        session.carts += 1
    previous = session.trail
    moved = not previous or previous[-1] != event.item_id
    if moved:
        session.trail = [*previous[-(MAX_TRAIL - 1) :], event.item_id]  # a new list: the step keeps the old one
    if isinstance(event, View):
        session.watching_ms = event.ts_ms
    elif moved:
        session.watching_ms = 0  # a cart from before the look: its item must not get the other's dwell
    return first, moved, previous


def _remember(profile: Profile, event: ItemEvent, first: bool) -> bool:
    """Windows, totals, interests and the memory of the item. False if the event was too old for every window."""
    counted = True
    kind = _WINDOW_KIND.get(type(event))
    if kind is not None:
        counted = windows.add(profile.windows, kind, event.ts_ms)
        profile.totals[kind] += 1
    profile.touches += first
    weight = _INTEREST_WEIGHT.get(type(event))
    if weight is not None:
        interests.add(
            profile.interests,
            weight,
            event.ts_ms,
            category=event.category,
            brand=event.brand,
            band=price_band(event.price_minor),
        )

    memory = profile.items.pop(event.item_id, None) or ItemMemory()
    profile.items[event.item_id] = memory  # newest last
    memory.last_s = max(memory.last_s, event.ts_ms // 1000)
    memory.views += isinstance(event, View)
    memory.flags |= _ITEM_FLAG.get(type(event), 0)
    if isinstance(event, RemoveFromCart):
        memory.flags &= ~CARTED
    if len(profile.items) > MAX_ITEMS:
        del profile.items[next(iter(profile.items))]
    return counted
