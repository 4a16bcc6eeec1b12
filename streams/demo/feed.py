"""The simulated shop, sent into Kafka from a thread: the catalogue at once, then events at a steady rate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import msgspec

from streams.ops.clock import Clock, SystemClock
from streams.replay.produce import Pace, Sender, Totals
from streams.replay.sources.rows import Row, SourceEvent
from streams.simulator import Arrival, Shop, SimulatorOptions
from streams.simulator.delivery import FAR_AHEAD_MS

OPTIONS = SimulatorOptions(
    events=None,
    users=400,
    items=600,
    start_ms=1_262_563_200_000,  # 2010-01-04, a Monday: an hour's worth of simulated days fits in before today
    bad=0.002,
)
"""Few enough visitors that a horizon of 7 days is some 7,500 events: labels mature within seconds."""

INTERCEPT = -5.2443
"""What a pilot run finds for these options; it would take seconds of the start."""

LEAD = 300
"""Events that the shop may be ahead of the worker. A slow machine then has fewer events a second, not a backlog."""

_DELIVERY_TIMEOUT_S = 10.0
_JOIN_WITHIN_S = _DELIVERY_TIMEOUT_S + 5.0
_POLL_S = 0.01


class Feed:
    """Runs in a thread; its attributes may be read at any time.

    `totals` counts arrivals of the stream (a few catalogue updates included), `now_ms` is the arrival time of the
    newest one in the shop's own time, `failure` what ended it early.
    """

    def __init__(
        self,
        bootstrap: str,
        prefix: str,
        *,
        rate: float,
        applied: Callable[[], int],
        clock: Clock | None = None,
    ) -> None:
        """`rate`: at most so many records per second. `applied`: how many events the worker has seen to."""
        self.options = OPTIONS
        self._applied = applied
        self.now_ms = OPTIONS.start_ms
        self.failure: Exception | None = None
        self._clock = SystemClock() if clock is None else clock
        self._ready, self._open, self._stop = threading.Event(), threading.Event(), threading.Event()
        self._catalog = Sender(bootstrap, prefix, delivery_timeout_s=_DELIVERY_TIMEOUT_S)
        self._events = Sender(bootstrap, prefix, pace=Pace(rate=rate), delivery_timeout_s=_DELIVERY_TIMEOUT_S)
        self._thread = threading.Thread(target=self._run, name="shop", daemon=True)

    @property
    def totals(self) -> Totals:
        return self._events.totals

    @property
    def ready(self) -> bool:
        """The catalogue is in Kafka."""
        return self._ready.is_set()

    @property
    def first_refusal(self) -> str:
        """Why Kafka didn't take a record; empty if it took all."""
        return self._catalog.first_failure or self._events.first_failure

    def start(self) -> None:
        """Build the shop and send its catalogue."""
        self._thread.start()

    def open(self) -> None:
        """Let the visitors in."""
        self._open.set()

    def stop(self) -> None:
        """Let nobody in any more; returns when Kafka has answered for what was sent."""
        self._stop.set()
        self._open.set()
        if self._thread.is_alive():
            self._thread.join(_JOIN_WITHIN_S)

    def _run(self) -> None:
        try:
            shop = Shop(self.options, INTERCEPT)
            self._catalog.run(_Rows(lambda: catalog_rows(shop)))
            self._ready.set()
            self._open.wait()
            self._events.run(_Rows(lambda: self._stream_rows(shop)))
        except Exception as error:  # noqa: BLE001  a thread can't raise; the session does
            self.failure = error

    def _stream_rows(self, shop: Shop) -> Iterator[Row]:
        events = 0
        for number, arrival in enumerate(shop.stream(), 1):
            while self._must_wait(arrival, events) and not self._stop.wait(_POLL_S):
                pass
            if self._stop.is_set():
                return
            events += arrival.kind == "event"
            self.now_ms = arrival.arrival_ms
            yield row_of(number, arrival, self._clock.now_ms)

    def _must_wait(self, arrival: Arrival, events: int) -> bool:
        """The worker is behind; or the shop has caught up with today, and goes on at its own pace."""
        return events - self._applied() >= LEAD or arrival.arrival_ms > self._clock.now_ms()


def catalog_rows(shop: Shop) -> Iterator[Row]:
    """The items on sale at the opening."""
    encode = msgspec.json.Encoder().encode
    for number, item in enumerate(shop.catalog(), 1):
        yield SourceEvent(number, item.item_id.encode(), encode(item), shop.options.start_ms, "catalog")


def row_of(number: int, arrival: Arrival, now_ms: Callable[[], int]) -> SourceEvent:
    """An arrival as a record for Kafka.

    What the simulator planted as "from the future" is so only in the shop's time, years ago; in Kafka it must be ahead
    of the clock, or it would be taken and carry all labels a month ahead.
    """
    value = arrival.value
    if arrival.planted == "from_future":
        fields = msgspec.json.decode(value)
        fields["ts_ms"] = now_ms() + FAR_AHEAD_MS
        value = msgspec.json.encode(fields)
    return SourceEvent(
        number, arrival.key, value, arrival.arrival_ms, "events" if arrival.kind == "event" else "catalog"
    )


class _Rows:
    """A source of unknown size."""

    total_bytes: int | None = None
    bytes_read = 0

    def __init__(self, make: Callable[[], Iterator[Row]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[Row]:
        return self._make()
