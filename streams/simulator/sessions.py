"""A person's visit, and what follows from it, as events with the truth about the touches.

A visitor comes with an intent (a leaf, by taste, or an item seen before) and moves from item to item: on to a similar
one, to one that goes with it, to what the leaf sells best, back to one seen before. So the next item depends on the
last two and their order, and co-visitation tells similar items apart from merely popular ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streams.contracts.events import (
    AddToCart,
    Consent,
    Coupon,
    Favorite,
    Impression,
    PageView,
    Purchase,
    Refund,
    RemoveFromCart,
    Search,
    ShownItem,
    SupportMessage,
    UserEvent,
    View,
)
from streams.simulator import truth
from streams.simulator.draws import Quantiles, Uniform, Weighted
from streams.simulator.happenings import Happening, Recorder, Visitor
from streams.simulator.items import HOUR_MS, Assortment, Item
from streams.simulator.users import User, agent_of, visit_channel

STEPS = Quantiles((0.0, 1), (0.25, 2), (0.5, 4.2), (0.8, 9), (0.95, 18), (1.0, 32))
DWELL_MS = Quantiles((0.0, 3_000), (0.3, 12_000), (0.6, 35_000), (0.9, 150_000), (0.99, 420_000), (1.0, 900_000))
"""Time on an item's page; far below the 30 minutes that end a session."""

REFUND_AFTER_MS = Quantiles((0.0, 24 * HOUR_MS), (0.5, 4 * 24 * HOUR_MS), (1.0, 12 * 24 * HOUR_MS))
MESSAGE_AFTER_MS = Quantiles((0.0, HOUR_MS), (0.5, 20 * HOUR_MS), (1.0, 3 * 24 * HOUR_MS))

SEARCH, PAGE_VIEW, IMPRESSION = 0.09, 0.08, 0.10
"""Chances before a step."""

TOUCH_BY_CART, VIEWED_AGAIN, FAVORITE = 0.04, 0.05, 0.025
CART_OF_BUYER, CART_OF_OTHERS, CART_EMPTIED = 0.75, 0.05, 0.25
TWO_PIECES, REFUND, MESSAGE_OF_BUYER = 0.08, 0.05, 0.03
RETURN_TO_SEEN, TASTE_OVER_FASHION = 0.22, 0.8
CONSENT, CONSENT_GRANTED, COUPON, MESSAGE = 0.004, 0.6, 0.015, 0.002

_SIMILAR, _SIMILAR_TO_LAST, _GOES_WITH, _SEEN, _BEST_SELLER, _ELSEWHERE = range(6)
_pick_way = Weighted((0.52, 0.12, 0.10, 0.08, 0.12, 0.06))
"""How a visitor gets from one item to the next."""

_MESSAGES = (
    "Where is my order?",
    "I would like to change the delivery address.",
    "The parcel came damaged, what can I do?",
    "Does this come in another colour?",
    "When will it be in stock again?",
)


class Session:
    """One visit of `user` from `start_ms` on. `probability` maps a score of the truth to a conversion probability."""

    def __init__(
        self,
        user: User,
        start_ms: int,
        assortment: Assortment,
        recorder: Recorder,
        uniform: Uniform,
        probability: Callable[[float], float],
    ) -> None:
        self._user = user
        self._assortment = assortment
        self._recorder = recorder
        self._uniform = uniform
        self._probability = probability
        channel = visit_channel(user, uniform())
        self._visitor = Visitor(user.user_id, recorder.next_id("v"), channel, agent_of(user.user_id, channel))
        self._now_ms = start_ms
        self._trail: list[Item] = []
        self._touched: dict[str, Item] = {}
        self._intent = 0
        self.happenings: list[Happening] = []

    def run(self) -> int:
        """Fills `happenings` with the visit's events and what follows later; returns the time of the visit's last one.

        The user's `recent`, `buying` and `upcoming_ms` are brought up to date.
        """
        user, uniform = self._user, self._uniform
        user.forget_before(self._now_ms)
        self._arrive()
        slot = self._first_slot()
        for _ in range(int(STEPS(uniform()))):
            item = self._sellable(slot)
            if item is None:
                break
            self._come_across(item)
            self._look_at(item)
            slot = self._next_slot()
        user.remember(self._touched)
        return self._now_ms

    def _arrive(self) -> None:
        uniform = self._uniform
        if uniform() < CONSENT:
            self._add(Consent(granted=uniform() < CONSENT_GRANTED, **self._fields()))
        if uniform() < COUPON:
            self._user.has_coupon = True
            self._add(Coupon(coupon_id=f"c{self._now_ms // HOUR_MS}", action="received", **self._fields()))
        if uniform() < MESSAGE:
            self._add(SupportMessage(text=_MESSAGES[int(uniform() * len(_MESSAGES))], **self._fields()))

    def _first_slot(self) -> int:
        uniform, user = self._uniform, self._user
        if user.recent and uniform() < RETURN_TO_SEEN:
            seen = tuple(user.recent.values())
            item = seen[int(uniform() * len(seen))]
            self._intent = item.leaf_index
            return item.slot
        by_taste = uniform() < TASTE_OVER_FASHION
        self._intent = user.taste(uniform()) if by_taste else self._assortment.popular_leaf(uniform())
        return self._assortment.popular(self._intent, uniform())

    def _next_slot(self) -> int:
        uniform, assortment, trail = self._uniform, self._assortment, self._trail
        way = _pick_way(uniform())
        if way == _SIMILAR:
            return assortment.neighbour(trail[-1].slot, uniform())
        if way == _SIMILAR_TO_LAST:
            return assortment.neighbour(trail[-2 if len(trail) > 1 else -1].slot, uniform())
        if way == _GOES_WITH:
            return assortment.companion(trail[-1].slot, uniform())
        if way == _SEEN:
            return trail[int(uniform() * len(trail))].slot
        if way == _BEST_SELLER:
            return assortment.popular(self._intent, uniform())
        return assortment.popular(assortment.popular_leaf(uniform()), uniform())

    def _sellable(self, slot: int) -> Item | None:
        """The item of the slot, or of a similar one if it is sold out, or bought in an earlier visit but not yet paid.

        The latter keeps the truth true: a touch after the one that leads to the purchase would take its credit.
        """
        for _ in range(12):
            item = self._assortment.items[slot]
            if item.stock > 0 and (item.item_id not in self._user.buying or item.item_id in self._touched):
                return item
            slot = self._assortment.neighbour(slot, self._uniform())
        return None

    def _come_across(self, item: Item) -> None:
        """Pages on the way to an item."""
        uniform, leaf = self._uniform, self._assortment.leaves[item.leaf_index]
        u = uniform()
        if u < SEARCH:
            query = leaf.noun if uniform() < 0.6 else f"{item.brand} {leaf.noun}"
            self._add(Search(query=query, results=1 + int(uniform() * leaf.size), **self._fields()))
        elif u < SEARCH + PAGE_VIEW:
            self._add(PageView(page=f"/{leaf.path.replace('.', '/')}", **self._fields()))
        elif u < SEARCH + PAGE_VIEW + IMPRESSION:
            self._add(Impression(items=self._shown(item), **self._fields()))

    def _shown(self, item: Item) -> tuple[ShownItem, ...]:
        """A list on the screen: the item that will be opened among similar ones."""
        uniform, assortment = self._uniform, self._assortment
        shown = {item.item_id: None}
        slot = item.slot
        for _ in range(3 + int(uniform() * 5)):
            slot = assortment.neighbour(slot, uniform())
            shown[assortment.items[slot].item_id] = None
        ids = list(shown)
        at = int(uniform() * len(ids))
        ids[0], ids[at] = ids[at], ids[0]
        return tuple(ShownItem(item_id=item_id, position=position) for position, item_id in enumerate(ids))

    def _look_at(self, item: Item) -> None:
        """The item's page: a touch if it is the first time in this visit."""
        uniform = self._uniform
        dwell_ms = int(DWELL_MS(uniform()))
        leave_ms = self._now_ms + dwell_ms
        if item.item_id not in self._touched:
            self._touch(item, leave_ms)
        else:
            self._add(View(**self._item_fields(item)))
        if uniform() < VIEWED_AGAIN:
            self._wait(leave_ms)
            self._add(View(**self._item_fields(item)))
        if uniform() < FAVORITE:
            self._wait(leave_ms)
            self._add(Favorite(**self._item_fields(item)))
        self._trail.append(item)
        self._now_ms = max(self._now_ms, leave_ms)

    def _touch(self, item: Item, leave_ms: int) -> None:
        user, uniform = self._user, self._uniform
        leaf = self._assortment.leaves[item.leaf_index]
        by_cart = uniform() < TOUCH_BY_CART
        touched_ms = self._now_ms
        p = self._probability(
            truth.score(
                user,
                item,
                leaf,
                taste=user.tastes.get(item.leaf_index, 0.0),
                cart=by_cart,
                returning=item.item_id in user.recent,
                channel=self._visitor.channel,
                ts_ms=touched_ms,
                depth=len(self._touched),
                run=self._run_of(item.leaf_index),
            )
        )
        self._touched[item.item_id] = item
        kind = AddToCart if by_cart else View
        self._add(kind(**self._item_fields(item)), p)
        if uniform() < p:
            delay_ms = truth.delay_ms(truth.price_band(item.price_minor), uniform())
            if not by_cart and uniform() < CART_OF_BUYER:
                self._wait(min(leave_ms, touched_ms + delay_ms))
                self._add(AddToCart(**self._item_fields(item)))
            self._buy(item, touched_ms + delay_ms)
        elif not by_cart and uniform() < CART_OF_OTHERS:
            self._wait(leave_ms)
            self._add(AddToCart(**self._item_fields(item)))
            if uniform() < CART_EMPTIED:
                self._wait(leave_ms)
                self._add(RemoveFromCart(**self._item_fields(item)))

    def _run_of(self, leaf_index: int) -> int:
        run = 0
        for item in reversed(self._trail[-truth.LONGEST_RUN :]):
            if item.leaf_index != leaf_index:
                break
            run += 1
        return run

    def _buy(self, item: Item, bought_ms: int) -> None:
        """The purchase at its time, at the price of the touch, and what may follow from it."""
        user, uniform = self._user, self._uniform
        quantity = 2 if uniform() < TWO_PIECES else 1
        order_id = self._recorder.next_id("o")
        price_minor = item.price_minor
        user.buying[item.item_id] = bought_ms
        self._assortment.sold(item, quantity)
        if user.has_coupon:
            user.has_coupon = False
            self._later(Coupon(coupon_id=f"c{order_id}", action="applied", **self._fields(bought_ms)))
        fields = self._recorder.on_item(self._visitor, item, price_minor, bought_ms)
        self._later(Purchase(quantity=quantity, order_id=order_id, **fields))
        if uniform() < REFUND:
            fields = self._recorder.on_item(
                self._visitor, item, price_minor, bought_ms + int(REFUND_AFTER_MS(uniform()))
            )
            self._later(Refund(quantity=quantity, order_id=order_id, **fields))
        if uniform() < MESSAGE_OF_BUYER:
            text = _MESSAGES[int(uniform() * len(_MESSAGES))]
            self._later(SupportMessage(text=text, **self._fields(bought_ms + int(MESSAGE_AFTER_MS(uniform())))))

    def _fields(self, ts_ms: int | None = None) -> dict[str, Any]:
        return self._recorder.of_user(self._visitor, self._now_ms if ts_ms is None else ts_ms)

    def _item_fields(self, item: Item) -> dict[str, Any]:
        return self._recorder.on_item(self._visitor, item, item.price_minor, self._now_ms)

    def _add(self, event: UserEvent, touch_probability: float | None = None) -> None:
        """An event of now; the next one comes a moment later."""
        self.happenings.append(Happening(event, touch_probability))
        self._now_ms += 1 + int(self._uniform() * 2_000)

    def _wait(self, until_ms: int) -> None:
        """Some time passes, at most until then."""
        self._now_ms += int(self._uniform() * max(0, until_ms - self._now_ms))

    def _later(self, event: UserEvent) -> None:
        self.happenings.append(Happening(event))
        self._user.upcoming_ms.append(event.ts_ms)
