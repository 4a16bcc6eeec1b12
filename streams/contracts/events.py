"""Input records of `clickstream.events.v1`: a union tagged by `type`, keyed by `user_id`.

Unknown fields are ignored, so producers may add optional ones (BACKWARD_TRANSITIVE); an unknown `type` is
rejected and counted.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from streams.contracts.bounds import Channel, Currency, Id, Minor, Quantity, ShortText, Text, TimeMs


class _FromUser(Struct, frozen=True, kw_only=True, gc=False, tag_field="type", omit_defaults=True):
    """Fields of every event that a user causes.

    `ts_ms` is event time; arrival is the record's own timestamp. `session_id` is the producer's and only passed
    through: sessions are made here, from 30 minutes of inactivity. `consent` false overrides the profile for this
    event.
    """

    event_id: Id
    user_id: Id
    ts_ms: TimeMs
    session_id: Id | None = None
    channel: Channel = "web"
    consent: bool | None = None
    user_agent: ShortText | None = None


class _OnItem(_FromUser, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """An event about one item, with what the page knew of it. `category` is a path: `appliances.kitchen.mixer`."""

    item_id: Id
    category: ShortText | None = None
    brand: ShortText | None = None
    price_minor: Minor | None = None
    currency: Currency | None = None


class PageView(_FromUser, frozen=True, kw_only=True, gc=False, tag="page_view", omit_defaults=True):
    """Any page that is not an item's."""

    page: ShortText | None = None


class View(_OnItem, frozen=True, kw_only=True, gc=False, tag="view", omit_defaults=True):
    """The page of an item was opened. `rec_id`: id of the recommendation that led here."""

    rec_id: ShortText | None = None


class AddToCart(_OnItem, frozen=True, kw_only=True, gc=False, tag="add_to_cart", omit_defaults=True):
    quantity: Quantity = 1


class RemoveFromCart(_OnItem, frozen=True, kw_only=True, gc=False, tag="remove_from_cart", omit_defaults=True):
    quantity: Quantity = 1


class Favorite(_OnItem, frozen=True, kw_only=True, gc=False, tag="favorite", omit_defaults=True):
    pass


class Purchase(_OnItem, frozen=True, kw_only=True, gc=False, tag="purchase", omit_defaults=True):
    """`price_minor` is per piece."""

    quantity: Quantity = 1
    order_id: Id | None = None


class Refund(_OnItem, frozen=True, kw_only=True, gc=False, tag="refund", omit_defaults=True):
    """`price_minor` is the amount paid back per piece."""

    quantity: Quantity = 1
    order_id: Id | None = None


class ShownItem(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    item_id: Id
    position: Annotated[int, Meta(ge=0, le=1000)]


class Impression(_FromUser, frozen=True, kw_only=True, tag="impression", omit_defaults=True):
    """Items that were on the screen, with their positions from 0."""

    items: Annotated[tuple[ShownItem, ...], Meta(min_length=1, max_length=200)]
    rec_id: ShortText | None = None


class Search(_FromUser, frozen=True, kw_only=True, gc=False, tag="search", omit_defaults=True):
    query: ShortText
    results: Annotated[int, Meta(ge=0)] | None = None


class Coupon(_FromUser, frozen=True, kw_only=True, gc=False, tag="coupon", omit_defaults=True):
    coupon_id: Id
    action: Literal["received", "applied", "expired"]


class SupportMessage(_FromUser, frozen=True, kw_only=True, gc=False, tag="support_message", omit_defaults=True):
    text: Text


class Consent(_FromUser, frozen=True, kw_only=True, gc=False, tag="consent", omit_defaults=True):
    """From here on the user allows (or refuses) a profile and training."""

    granted: bool


class EraseUser(_FromUser, frozen=True, kw_only=True, gc=False, tag="erase_user", omit_defaults=True):
    """Forget the user. A record of the log, so that a replay forgets too."""


class Tick(Struct, frozen=True, kw_only=True, gc=False, tag_field="type", tag="tick"):
    """Moves an idle partition's time on. Written by the partition's owner, belongs to no user, has no key."""

    ts_ms: TimeMs


ItemEvent = View | AddToCart | RemoveFromCart | Favorite | Purchase | Refund
UserEvent = ItemEvent | PageView | Impression | Search | Coupon | SupportMessage | Consent | EraseUser
Event = UserEvent | Tick

TOUCH_EVENTS = (View, AddToCart)
"""Events that open or refresh a touch of an item."""

EVENT_TYPES: frozenset[str] = frozenset(
    {
        "page_view",
        "view",
        "impression",
        "add_to_cart",
        "remove_from_cart",
        "favorite",
        "purchase",
        "refund",
        "search",
        "coupon",
        "support_message",
        "consent",
        "erase_user",
        "tick",
    }
)
