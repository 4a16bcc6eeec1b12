"""A Prometheus histogram that takes a whole batch of observations in one call.

The client library's own takes about 1.5 us per observation (a lock for the sum and one for the bucket); at 100,000
events a second that is 15 % of a core. This one sorts a batch into its buckets with numpy under a single lock.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector


class BatchSeries:
    """One series: counts per bucket and the sum. Thread-safe."""

    __slots__ = ("_bounds", "_counts", "_edges", "_lock", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = list(bounds)
        self._edges = np.asarray(bounds, dtype=np.float64)
        self._counts = np.zeros(len(self._bounds) + 1, dtype=np.int64)
        self._sum = 0.0
        self._lock = threading.Lock()

    def observe(self, value: float) -> None:
        """Add one observation; a value equal to a bound belongs below it."""
        bucket = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[bucket] += 1
            self._sum += value

    def observe_many(self, values: ArrayLike) -> None:
        """Add finite observations of shape (n,)."""
        array = np.asarray(values, dtype=np.float64)
        counts = np.bincount(np.searchsorted(self._edges, array, side="left"), minlength=len(self._counts))
        total = float(array.sum())
        with self._lock:
            self._counts += counts
            self._sum += total

    def read(self) -> tuple[list[int], float]:
        """Cumulative count per bound, the last for +Inf, and the sum."""
        with self._lock:
            return np.cumsum(self._counts).tolist(), self._sum


class BatchHistogram(Collector):
    """A family of series by labels, registered like any other metric."""

    def __init__(
        self,
        name: str,
        help_text: str,
        label_names: tuple[str, ...],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        if list(bounds) != sorted(set(bounds)):
            raise ValueError(f"the bounds of {name} must rise: {list(bounds)}")
        self._name = name
        self._help = help_text
        self._label_names = label_names
        self._bounds = tuple(bounds)
        self._series: dict[tuple[str, ...], BatchSeries] = {}
        registry.register(self)

    def labels(self, *values: str) -> BatchSeries:
        """The series with these label values; keep it rather than look it up per event."""
        if len(values) != len(self._label_names):
            raise ValueError(f"{self._name} has the labels {self._label_names}, not {len(values)} of them")
        return self._series.setdefault(values, BatchSeries(self._bounds))

    def describe(self) -> Iterator[HistogramMetricFamily]:
        yield HistogramMetricFamily(self._name, self._help, labels=self._label_names)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._help, labels=self._label_names)
        names = [*(str(bound) for bound in self._bounds), "+Inf"]
        for labels, series in list(self._series.items()):
            counts, total = series.read()
            family.add_metric(labels, list(zip(names, map(float, counts), strict=True)), total)
        yield family
