"""Who visits the shop: people with tastes, a budget and habits. Who leaves is replaced by somebody new."""

from __future__ import annotations

from dataclasses import dataclass, field

from streams.contracts.bounds import Channel
from streams.simulator.draws import EXPONENTIAL, Quantiles, Uniform, Weighted, bell
from streams.simulator.items import HOUR_MS, Assortment, Item

VISITS_PER_DAY = 0.33
"""Mean over people."""

LIFETIME_MS = 100 * 24 * HOUR_MS
"""Mean time until a person leaves for good, however often he comes: so the mix of people stays as it is."""

SESSION_GAP_MS = 30 * 60_000
"""Two visits are further apart than this, counting everything that the person does, so that each is one session."""

RECENT_ITEMS = 30

_TASTES = (1.0, 0.6, 0.3)
_pick_taste = Weighted(_TASTES)

_ACTIVITY = Quantiles((0.0, 0.15), (0.5, 0.6), (0.9, 2.0), (1.0, 6.0))
_MEAN_ACTIVITY = _ACTIVITY.mean()

_BY_HOUR = (
    0.35, 0.22, 0.15, 0.12, 0.12, 0.18, 0.32, 0.50, 0.62, 0.70, 0.75, 0.78,
    0.82, 0.80, 0.76, 0.76, 0.80, 0.86, 0.93, 1.00, 1.00, 0.92, 0.75, 0.52,
)  # fmt: skip
_MEAN_BY_HOUR = 0.6137500
"""Share of the visits that would start in an hour (UTC) and do, and its mean."""

_CHANNELS: tuple[Channel, ...] = ("web", "android", "ios", "mini_program", "store")
_pick_channel = Weighted((0.42, 0.27, 0.20, 0.07, 0.04))
_AGENTS: dict[Channel, tuple[str, ...]] = {
    "web": (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_2) AppleWebKit/605.1.15 Version/17.2 Safari/605.1.15",
        "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    ),
    "android": ("Shop/5.2 (Android 15)", "Shop/5.1 (Android 13)"),
    "ios": ("Shop/5.2 (iPhone; iOS 18.1)", "Shop/5.2 (iPad; iPadOS 18.1)"),
    "mini_program": ("ShopMini/2.0",),
    "store": ("Kiosk/1.4",),
}


@dataclass(slots=True)
class User:
    """A person. `propensity` and `price_sensitivity` are logits of the truth; `tastes` maps a leaf to 0..1."""

    user_id: str
    activity: float
    channel: Channel
    propensity: float
    price_sensitivity: float
    tastes: dict[int, float]
    recent: dict[str, Item] = field(default_factory=dict)
    """Items touched in earlier visits, the latest last, at most RECENT_ITEMS."""
    buying: dict[str, int] = field(default_factory=dict)
    """Items that the person has decided to buy, with the time of the purchase."""
    upcoming_ms: list[int] = field(default_factory=list)
    """Times of all that the person will do outside of visits: purchases, refunds, messages."""
    has_coupon: bool = False

    def taste(self, u: float) -> int:
        """A leaf, by taste."""
        return tuple(self.tastes)[min(_pick_taste(u), len(self.tastes) - 1)]

    def forget_before(self, now_ms: int) -> None:
        """Drop what lies behind, so that the state of a person stays small."""
        self.buying = {item_id: ms for item_id, ms in self.buying.items() if ms >= now_ms}
        self.upcoming_ms = [ms for ms in self.upcoming_ms if ms >= now_ms - SESSION_GAP_MS]

    def remember(self, items: dict[str, Item]) -> None:
        """Take a finished visit's touched items into `recent`."""
        for item_id, item in items.items():
            self.recent.pop(item_id, None)
            self.recent[item_id] = item
        for item_id in tuple(self.recent)[: max(0, len(self.recent) - RECENT_ITEMS)]:
            del self.recent[item_id]


class Population:
    """People by slot. Draws only from the `uniform` it is given."""

    def __init__(self, users: int, assortment: Assortment, uniform: Uniform) -> None:
        self._assortment = assortment
        self._uniform = uniform
        self._number = 0
        self.users = [self._new_user() for _ in range(users)]

    def next_id(self) -> str:
        """A user id that nobody has had."""
        self._number += 1
        return f"u{self._number:07d}"

    def replace(self, slot: int) -> User:
        """Somebody new takes the place of who left."""
        self.users[slot] = self._new_user()
        return self.users[slot]

    def next_visit_ms(self, user: User, after_ms: int) -> int:
        """Start of the next visit: a Poisson process in the rhythm of the day, apart from all else the person does."""
        uniform = self._uniform
        days_between = _MEAN_ACTIVITY * _MEAN_BY_HOUR / (user.activity * VISITS_PER_DAY)
        start_ms = after_ms
        while True:
            start_ms += int(EXPONENTIAL(uniform()) * days_between * 24 * HOUR_MS)
            if uniform() < _BY_HOUR[start_ms // HOUR_MS % 24]:
                break
        start_ms = max(start_ms, after_ms + SESSION_GAP_MS + 60_000)
        for ms in sorted(user.upcoming_ms):
            if ms <= start_ms <= ms + SESSION_GAP_MS:
                start_ms = ms + SESSION_GAP_MS + 60_000
        return start_ms

    def _new_user(self) -> User:
        uniform = self._uniform
        tastes: dict[int, float] = {}
        for weight in _TASTES:
            tastes.setdefault(self._assortment.popular_leaf(uniform()), weight)
        return User(
            user_id=self.next_id(),
            activity=_ACTIVITY(uniform()),
            channel=_CHANNELS[_pick_channel(uniform())],
            propensity=0.7 * bell(uniform),
            price_sensitivity=0.05 + 0.5 * uniform(),
            tastes=tastes,
        )


def visit_channel(user: User, u: float) -> Channel:
    """The person's own channel in 4 of 5 visits."""
    return user.channel if u < 0.8 else _CHANNELS[_pick_channel((u - 0.8) / 0.2)]


def agent_of(user_id: str, channel: Channel) -> str:
    """The user agent of a person on a channel: always the same one."""
    agents = _AGENTS[channel]
    return agents[int(user_id[1:]) % len(agents)]
