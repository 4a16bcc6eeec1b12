"""The shop: people, crawlers and the assortment put together into one stream of arrivals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heapify, heappop, heappush
from itertools import count

import msgspec

from streams.contracts.catalog import CatalogItem
from streams.simulator import truth
from streams.simulator.crawlers import Crawlers
from streams.simulator.delivery import Arrival, Delivery
from streams.simulator.draws import uniform
from streams.simulator.happenings import Recorder
from streams.simulator.items import HOUR_MS, Assortment
from streams.simulator.options import SimulatorOptions
from streams.simulator.sessions import Session
from streams.simulator.users import LIFETIME_MS, Population

PILOT_USERS, PILOT_TOUCHES = 3_000, 20_000
"""The intercept of the truth is solved on so many touches, about four days of so many people, whatever the options."""

_HOURLY_FEED = -1


class Shop:
    """A synthetic shop. The same options give the same bytes; `catalog` and `stream` start anew at each call.

    `intercept` is that of the formula in `streams.simulator.truth`. Given, it takes the place of the one that a pilot
    run (about a second) finds for `options.base_rate`.
    """

    def __init__(self, options: SimulatorOptions, intercept: float | None = None) -> None:
        self.options = options
        self.intercept = _solve_intercept(options) if intercept is None else intercept

    def catalog(self) -> Iterator[CatalogItem]:
        """The items on sale at the start; later changes are arrivals of kind "catalog" in the stream."""
        assortment = _World(self.options).assortment
        for item in assortment.items:
            yield item.record(assortment.leaves[item.leaf_index])

    def stream(self) -> Iterator[Arrival]:
        """Arrivals in the order of `arrival_ms`, in memory that does not grow with their number.

        Ends after `options.events` arrivals of kind "event", or with what happened in the first `options.days`.
        """
        limit = self.options.events
        intercept = self.intercept
        events = 0
        if limit == 0:
            return
        for arrival in _World(self.options).arrivals(lambda z: truth.probability(intercept + z)):
            yield arrival
            events += arrival.kind == "event"
            if events == limit:
                return


class _World:
    """All that changes while the shop is open."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self.assortment = Assortment(options, uniform(options.seed, "items"))
        self._population = Population(options.users, self.assortment, uniform(options.seed, "users"))

    def arrivals(self, probability: Callable[[float], float]) -> Iterator[Arrival]:
        """Visits in the order of their start; an arrival is due once no later visit can come before it."""
        options, assortment, population = self._options, self.assortment, self._population
        session_draw, staying = uniform(options.seed, "sessions"), uniform(options.seed, "staying")
        recorder = Recorder(assortment, str(options.seed))
        crawlers = Crawlers(options.bots, assortment, recorder, uniform(options.seed, "crawlers"))
        delivery = Delivery(options.duplicates, options.late, options.bad, uniform(options.seed, "delivery"))
        encode_item = msgspec.json.Encoder().encode
        end_ms = None if options.days is None else options.start_ms + int(options.days * 24 * HOUR_MS)

        due = [(population.next_visit_ms(user, options.start_ms), slot) for slot, user in enumerate(population.users)]
        due.append((options.start_ms + HOUR_MS, _HOURLY_FEED))
        heapify(due)
        waiting: list[tuple[int, int, Arrival]] = []
        number = count()

        while end_ms is None or due[0][0] < end_ms:
            now_ms, slot = heappop(due)
            while waiting and waiting[0][0] < now_ms:
                yield heappop(waiting)[2]
            if slot == _HOURLY_FEED:
                for item in assortment.hour_passed(now_ms):
                    arrival = Arrival(now_ms, "catalog", item.item_id.encode(), encode_item(item))
                    heappush(waiting, (now_ms, next(number), arrival))
                heappush(due, (now_ms + HOUR_MS, _HOURLY_FEED))
                continue
            user = population.users[slot]
            session = Session(user, now_ms, assortment, recorder, session_draw, probability)
            last_ms = session.run()
            happenings = session.happenings
            if crawlers.due(len(happenings)):
                happenings = happenings + crawlers.visit(population.next_id(), now_ms)
            for happening in happenings:
                if end_ms is None or happening.event.ts_ms < end_ms:
                    for arrival in delivery.arrivals(happening):
                        heappush(waiting, (arrival.arrival_ms, next(number), arrival))
            next_ms = population.next_visit_ms(user, last_ms)
            if staying() * LIFETIME_MS < next_ms - last_ms:
                next_ms = population.next_visit_ms(population.replace(slot), last_ms)
            heappush(due, (next_ms, slot))
        while waiting:
            yield heappop(waiting)[2]


def _solve_intercept(options: SimulatorOptions) -> float:
    """The truth's intercept for the base rate, from the scores of a run in which nobody buys."""
    scores: list[float] = []

    def note(z: float) -> float:
        scores.append(z)
        return 0.0

    pilot = msgspec.structs.replace(options, users=PILOT_USERS, bots=0.0, bad=0.0, duplicates=0.0, days=None)
    for _ in _World(pilot).arrivals(note):
        if len(scores) >= PILOT_TOUCHES:
            break
    return truth.solve_intercept(scores, options.base_rate)
