"""The truth that a model should find: how likely a touch converts, and when.

A touch is the first view or cart of an item by a user in a session. It converts within `HORIZON_MS` with probability

    p = 1 / (1 + exp(-z))

    z =   intercept                                    set so that the mean of p over people's touches is the base rate
        + item + leaf + brand                          normal, deviations 0.50, 0.50, 0.35; fixed for each
        + leaf trend                                   AR(1) from day to day, deviation 0.32
        + 0.70  if the leaf is on promotion            seen as a price 15 % below the item's usual one
        + user propensity                              normal, deviation 0.70; seen in the user's past conversions
        + 1.20 x taste of the user for the leaf        0, 0.3, 0.6 or 1; seen in what the user looks at
        - sensitivity of the user x (price band - 2)   0.05 to 0.55; band 0..4, see `price_band`
        + 1.60  if the touch is a cart, not a view
        + 0.80  if the user touched the item in an earlier session (one of his last 30 items)
        + channel, hour of day (UTC), depth            the tables below
        + 0.15 x min(run, 3)                           run: items seen in a row before, all of this item's leaf

A crawler's touch has probability 0. The delay from touch to purchase depends on the price band: a band's share in
`QUICK_SHARE` buys within 30 minutes (0.6 over all touches, about), the others take up to a week.

p is rounded to 6 digits, so that the last bit of the platform's `exp` does not matter.
"""

from __future__ import annotations

from bisect import bisect_right
from math import exp, fsum

from streams.contracts.bounds import Channel
from streams.simulator.draws import Quantiles
from streams.simulator.items import HOUR_MS, Item, Leaf
from streams.simulator.users import User

HORIZON_MS = 7 * 24 * HOUR_MS

PROMOTION = 0.70
TASTE = 1.20
CART = 1.60
RETURNING = 0.80
RUN, LONGEST_RUN = 0.15, 3

CHANNEL: dict[Channel, float] = {"web": 0.0, "ios": 0.2, "android": -0.1, "mini_program": -0.4, "store": 0.5}
HOUR: tuple[float, ...] = (-0.3,) * 6 + (-0.1,) * 4 + (0.0,) * 4 + (0.1,) * 4 + (0.25,) * 4 + (0.0,) * 2
DEPTH: tuple[float, ...] = (0.0, 0.1, 0.25, 0.25, 0.25, 0.1, 0.1, 0.1, 0.1, 0.1, -0.4)
"""By the items seen in the session before the touch; the last entry holds for all greater depths."""

PRICE_EDGES: tuple[int, ...] = (1_500, 4_000, 10_000, 30_000)

QUICK_SHARE: tuple[float, ...] = (0.72, 0.66, 0.60, 0.52, 0.44)
"""Per price band, the share of the conversions within 30 minutes of the touch."""

_MINUTE_MS = 60_000
QUICK_DELAY_MS = Quantiles(
    (0.0, 20_000), (0.2, 90_000), (0.4, 4 * _MINUTE_MS), (0.6, 8 * _MINUTE_MS), (0.8, 16 * _MINUTE_MS),
    (1.0, 30 * _MINUTE_MS),
)  # fmt: skip
SLOW_DELAY_MS = Quantiles(
    (0.0, 30 * _MINUTE_MS), (0.2, 2 * HOUR_MS), (0.4, 8 * HOUR_MS), (0.6, 22 * HOUR_MS), (0.8, 2 * 24 * HOUR_MS),
    (0.92, 4 * 24 * HOUR_MS), (1.0, HORIZON_MS - 2 * HOUR_MS),
)  # fmt: skip


def price_band(price_minor: int) -> int:
    """0..4 by `PRICE_EDGES`; a price on an edge belongs to the band above."""
    return bisect_right(PRICE_EDGES, price_minor)


def score(
    user: User,
    item: Item,
    leaf: Leaf,
    *,
    taste: float,
    cart: bool,
    returning: bool,
    channel: Channel,
    ts_ms: int,
    depth: int,
    run: int,
) -> float:
    """z of the formula above without the intercept."""
    z = item.appeal + leaf.appeal + item.brand_appeal + leaf.trend + user.propensity
    z += TASTE * taste - user.price_sensitivity * (price_band(item.price_minor) - 2)
    z += CHANNEL[channel] + HOUR[ts_ms // HOUR_MS % 24]
    z += DEPTH[min(depth, len(DEPTH) - 1)] + RUN * min(run, LONGEST_RUN)
    if leaf.promoted:
        z += PROMOTION
    if cart:
        z += CART
    if returning:
        z += RETURNING
    return z


def probability(z: float) -> float:
    """Logistic function, 6 digits, inside (0, 1)."""
    return min(max(round(1 / (1 + exp(-z)), 6), 1e-6), 1 - 1e-6)


def solve_intercept(scores: list[float], base_rate: float) -> float:
    """The intercept that makes the mean probability of touches with these scores the base rate; 4 digits."""
    low, high = -30.0, 30.0
    while high - low > 1e-5:
        middle = (low + high) / 2
        if fsum(probability(middle + z) for z in scores) < base_rate * len(scores):
            low = middle
        else:
            high = middle
    return round((low + high) / 2, 4)


def delay_ms(band: int, u: float) -> int:
    """Time from touch to purchase, at the quantile `u` of an item's price band."""
    quick = QUICK_SHARE[band]
    return int(QUICK_DELAY_MS(u / quick) if u < quick else SLOW_DELAY_MS((u - quick) / (1 - quick)))
