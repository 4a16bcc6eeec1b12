"""Bounded scalar types shared by all records; a value outside them never enters the system."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

MAX_MS = 4_102_444_800_000
"""2100-01-01; a larger time is a unit mistake (micro- or nanoseconds)."""

Id = Annotated[str, Meta(min_length=1, max_length=128)]
"""An identifier chosen by others: user, item, session, event, order."""

Text = Annotated[str, Meta(max_length=4096)]
ShortText = Annotated[str, Meta(max_length=512)]

TimeMs = Annotated[int, Meta(ge=0, le=MAX_MS)]
"""Milliseconds since the Unix epoch."""

DurationMs = Annotated[int, Meta(ge=0, le=MAX_MS)]
Minor = Annotated[int, Meta(ge=0, le=10**12)]
"""Money in minor units of its currency (cents)."""

Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$")]
Quantity = Annotated[int, Meta(ge=1, le=100_000)]
Count = Annotated[int, Meta(ge=0)]
Offset = Annotated[int, Meta(ge=0)]
Probability = Annotated[float, Meta(ge=0.0, le=1.0)]

Channel = Literal["web", "ios", "android", "mini_program", "store"]
CHANNELS: tuple[Channel, ...] = ("web", "ios", "android", "mini_program", "store")
