"""Features of a user at a moment, `view(profile, at_ms)`, which changes nothing, and the vector of a touch.

All treatment of missing values, outliers and scale is here, once:

- *Missing* (a first visit has no pause before it, an event no price) is None and stays None: absence informs.
- *Counts and durations* are put into logarithmic buckets (0, 1, 2-3, 4-7, ... up to 2**14): an outlier
  lands in the last one.
- *Shares and rates* (0 to 1) are put into 8 equal buckets; the conversion rate into half octaves
  around its prior.
- *Ids* stay strings; the model hashes them.

`FEATURES` fixes names and order; `SCHEMA` changes with them, and the learner refuses snapshots of another.
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b

import msgspec

from streams.contracts.bounds import CHANNELS
from streams.contracts.events import AddToCart, View
from streams.features import windows
from streams.features.interests import share
from streams.features.profile import Profile, price_band

PRIOR_CONVERSION_RATE = 0.03
PRIOR_STRENGTH = 20.0
"""A user's conversion rate starts as if 20 earlier touches had converted at the prior rate."""

_DAY_MS = windows.DAY_MS
_CHANNEL_INDEX = {channel: index for index, channel in enumerate(CHANNELS)}


class UserFeatures(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A user at `at_ms`, in plain units.

    `counts`: actions by span (1 h, 24 h, 7 d, 30 d) and kind (view, cart, favorite, purchase, refund). `recency_ms`:
    pause before this visit, none on the first. `frequency_ms`: mean pause between visits. `conversion_rate`:
    purchases per touch, smoothed towards the prior. `activity`: 0 new or dormant, 1 rare, 2 occasional, 3
    regular, 4 heavy. `channels`: events by channel, in the order of contracts.bounds.CHANNELS.
    """

    at_ms: int
    visits: int
    age_ms: int
    recency_ms: int | None
    frequency_ms: int | None
    session_ms: int
    session_events: int
    session_carts: int
    depth: int
    counts: windows.Counts
    conversion_rate: float
    activity: int
    channels: tuple[int, ...]

    def channel_share(self, channel: int) -> float:
        """Part of the user's events that came by a channel, 0 to 1."""
        return self.channels[channel] / (sum(self.channels) or 1)


def view(profile: Profile, at_ms: int) -> UserFeatures:
    """Features at `at_ms`, which is not before the newest event folded."""
    session = profile.session
    counts = windows.counts(profile.windows, at_ms)
    in_session = bool(session.number) and at_ms - session.last_ms <= windows.HOUR_MS // 2
    purchases = profile.totals[windows.PURCHASE]
    rate = (purchases + PRIOR_STRENGTH * PRIOR_CONVERSION_RATE) / (max(profile.touches, purchases) + PRIOR_STRENGTH)
    return UserFeatures(
        at_ms=at_ms,
        visits=session.number,
        age_ms=max(at_ms - profile.first_ms, 0) if profile.first_ms else 0,
        recency_ms=profile.pause_ms or None,
        frequency_ms=profile.gap_ms or None,
        session_ms=max(at_ms - session.start_ms, 0) if in_session else 0,
        session_events=session.events if in_session else 0,
        session_carts=session.carts if in_session else 0,
        depth=len(session.items) if in_session else 0,
        counts=counts,
        conversion_rate=rate,
        activity=bisect_right(_ACTIVITY, sum(counts[3])),
        channels=tuple(profile.channels),
    )


FEATURES: tuple[str, ...] = (
    "touch",
    "item",
    "category",
    "department",
    "brand",
    "price_band",
    "channel",
    "hour",
    "weekday",
    "depth",
    "session_events",
    "session_minutes",
    "session_carts",
    "visits",
    "recency_hours",
    "frequency_hours",
    "age_days",
    "views_1h",
    "views_24h",
    "views_7d",
    "views_30d",
    "carts_24h",
    "carts_30d",
    "favorites_30d",
    "purchases_7d",
    "purchases_30d",
    "refunds_30d",
    "item_views",
    "item_dwell_s",
    "item_flags",
    "category_share",
    "brand_share",
    "price_share",
    "conversion_rate",
    "activity",
    "channel_share",
)

CROSSES: tuple[tuple[str, str], ...] = (
    ("touch", "item_views"),
    ("category", "price_band"),
    ("category_share", "price_share"),
)
"""Pairs that a linear model needs together."""

SCHEMA = blake2b(repr((FEATURES, CROSSES, "buckets-1")).encode(), digest_size=6).hexdigest()

Vector = tuple[int | str | None, ...]


def touch_vector(features: UserFeatures, profile: Profile, event: View | AddToCart) -> Vector:
    """Values in the order of FEATURES: small bucket numbers, ids as strings, None for missing.

    `profile` and `features` are of the moment after the event was folded, so counts include it.
    """
    memory, interests = profile.items.get(event.item_id), profile.interests
    hour_1, hours_24, days_7, days_30 = features.counts
    band = price_band(event.price_minor)
    hours = event.ts_ms // windows.HOUR_MS
    channel = _CHANNEL_INDEX[event.channel]
    return (
        1 if isinstance(event, AddToCart) else 0,
        event.item_id,
        event.category,
        event.category.partition(".")[0] if event.category else None,
        event.brand,
        band,
        channel,
        hours % 24,
        (hours // 24 + 3) % 7,  # 1970-01-01 was a Thursday; 0 is Monday
        _OCTAVE[features.depth],
        _OCTAVE[features.session_events],
        _OCTAVE[features.session_ms // 60_000],
        _OCTAVE[features.session_carts],
        _OCTAVE[features.visits],
        None if features.recency_ms is None else _OCTAVE[features.recency_ms // windows.HOUR_MS],
        None if features.frequency_ms is None else _OCTAVE[features.frequency_ms // windows.HOUR_MS],
        _OCTAVE[features.age_ms // _DAY_MS],
        _OCTAVE[hour_1[windows.VIEW]],
        _OCTAVE[hours_24[windows.VIEW]],
        _OCTAVE[days_7[windows.VIEW]],
        _OCTAVE[days_30[windows.VIEW]],
        _OCTAVE[hours_24[windows.CART]],
        _OCTAVE[days_30[windows.CART]],
        _OCTAVE[days_30[windows.FAVORITE]],
        _OCTAVE[days_7[windows.PURCHASE]],
        _OCTAVE[days_30[windows.PURCHASE]],
        _OCTAVE[days_30[windows.REFUND]],
        0 if memory is None else _OCTAVE[memory.views],
        0 if memory is None else _OCTAVE[memory.dwell_s],
        0 if memory is None else memory.flags,
        _eighth(share(interests.categories, event.category)),
        _eighth(share(interests.brands, event.brand)),
        _eighth(share(interests.price_bands, band)),
        bisect_right(_HALF_OCTAVES, features.conversion_rate),
        features.activity,
        _eighth(features.channel_share(channel)),
    )


class _Octaves(dict[int, int]):
    """0, 1, 2-3, 4-7, ... to 14; 15 for all beyond. A table, since a vector asks it twenty times."""

    def __missing__(self, count: int) -> int:
        return 15


_OCTAVE = _Octaves((count, count.bit_length()) for count in range(1 << 14))

_HALF_OCTAVES = tuple(PRIOR_CONVERSION_RATE * 2.0 ** (step / 2.0) for step in range(-7, 8))
"""Upper edges of the buckets of a rate: 8 begins at the prior."""

_ACTIVITY = (1, 5, 20, 100)
"""Item actions in 30 days from which the next level of activity begins."""


def _eighth(part: float | None) -> int | None:
    """8 equal buckets of 0 to 1."""
    return None if part is None else min(int(part * 8.0), 7)


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Vector] = msgspec.msgpack.Decoder(tuple[int | str | None, ...])


def pack(vector: Vector) -> bytes:
    """A vector as the bytes that a touch keeps and an example carries."""
    return _encoder.encode(vector)


def unpack(data: bytes) -> Vector:
    """The vector of `pack`.

    Raises:
        msgspec.DecodeError: not such bytes.
    """
    return _decoder.decode(data)
