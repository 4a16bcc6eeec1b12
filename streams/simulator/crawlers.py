"""Crawlers: visitors that view many items fast and never buy, known by their user agent."""

from __future__ import annotations

from streams.contracts.events import View
from streams.simulator.draws import Quantiles, Uniform
from streams.simulator.happenings import Happening, Recorder, Visitor
from streams.simulator.items import Assortment

AGENT = "Mozilla/5.0 (compatible; ShopCrawlerBot/2.1; +https://example.com/bot.html)"
PAUSE_MS = Quantiles((0.0, 150), (0.8, 900), (1.0, 3_000))
VIEWS = Quantiles((0.0, 80), (1.0, 220))


class Crawlers:
    """Decides when a crawler comes, so that the share `bots` of all events is theirs, and makes its visit."""

    def __init__(self, bots: float, assortment: Assortment, recorder: Recorder, uniform: Uniform) -> None:
        self._per_human_event = bots / (1 - bots)
        self._assortment = assortment
        self._recorder = recorder
        self._uniform = uniform
        self._owed = -VIEWS.mean() / 2

    def due(self, human_events: int) -> bool:
        """Whether a crawler comes after so many more events of people."""
        self._owed += human_events * self._per_human_event
        return self._owed > 0

    def visit(self, user_id: str, start_ms: int) -> list[Happening]:
        """One item after the other, each once. A touch of a crawler never converts: probability 0."""
        items = self._assortment.items
        views = min(int(VIEWS(self._uniform())), len(items))
        first = int(self._uniform() * len(items))
        visitor = Visitor(user_id, self._recorder.next_id("v"), "web", AGENT)
        happenings: list[Happening] = []
        ts_ms = start_ms
        for k in range(views):
            item = items[(first + k) % len(items)]
            fields = self._recorder.on_item(visitor, item, item.price_minor, ts_ms)
            happenings.append(Happening(View(**fields), 0.0))
            ts_ms += int(PAUSE_MS(self._uniform()))
        self._owed -= views
        return happenings
