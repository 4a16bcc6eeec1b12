"""REES46 multi-category and cosmetics stores (Open CDP): one month of views, carts and purchases per file.

The sets don't say the currency, so none is set; an empty price or brand is unknown; `category_id` stands in where there
is no `category_code`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

from streams.contracts.events import AddToCart, Purchase, RemoveFromCart, UserEvent, View
from streams.replay.sources.table import RowError, choice

COLUMNS = (
    "event_time",
    "event_type",
    "product_id",
    "category_id",
    "category_code",
    "brand",
    "price",
    "user_id",
    "user_session",
)

_TYPES: dict[str, type[View | AddToCart | RemoveFromCart | Purchase]] = {
    "view": View,
    "cart": AddToCart,
    "remove_from_cart": RemoveFromCart,
    "purchase": Purchase,
}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", re.ASCII)
_PRICE = re.compile(r"(\d{1,12})(?:\.(\d{1,2}))?", re.ASCII)


def event(event_id: str, values: list[str]) -> UserEvent:
    """A row as an event. Raises `RowError`."""
    time, event_type, product_id, category_id, category_code, brand, price, user_id, user_session = values
    make = choice("event_type", event_type, _TYPES)
    return make(
        event_id=event_id,
        user_id=user_id,
        ts_ms=_time_ms(time),
        session_id=user_session or None,
        item_id=product_id,
        category=category_code or category_id or None,
        brand=brand or None,
        price_minor=_price_minor(price),
    )


@lru_cache(maxsize=1024)
def _time_ms(text: str) -> int:
    if _TIME.fullmatch(text) is None:
        raise RowError(f"event_time {text[:50]!r}: must be like '2019-10-01 00:00:00 UTC'")
    try:
        time = datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
    except ValueError as error:
        raise RowError(f"event_time {text!r}: {error}") from None
    return int(time.timestamp()) * 1000


@lru_cache(maxsize=65_536)
def _price_minor(text: str) -> int | None:
    """Minor units: '35.79' is 3579, exactly. Refuses NaN, signs, exponents and more than two decimals."""
    if not text:
        return None
    match = _PRICE.fullmatch(text)
    if match is None:
        raise RowError(f"price {text[:50]!r}: must be like '35.79', not negative, with at most two decimals")
    units, decimals = match.groups("")
    return int(units) * 100 + int(decimals.ljust(2, "0"))
