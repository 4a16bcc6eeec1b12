"""Time by stage of the real code: functions of a stage are wrapped, time inside a nested stage counts there only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter_ns
from typing import Any


class Stopwatch:
    """`take()` gives nanoseconds by stage since the last call; outside of every wrapped function it is "rest".

    A wrapper costs time itself; what it adds, inside and outside of the wrapped call, is measured once and subtracted.
    """

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._spent: Counter[str] = Counter()
        self._entered: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self._stage = "rest"
        self._since = perf_counter_ns()
        self._inside_ns = self._outside_ns = 0.0
        self._inside_ns, self._outside_ns = self._calibrate()

    def wrap(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        spent, entered, left = self._spent, self._entered, self._left

        def timed(*args: Any, **kwargs: Any) -> Any:
            before, now = self._stage, perf_counter_ns()
            spent[before] += now - self._since
            left[before] += 1
            entered[stage] += 1
            self._stage, self._since = stage, perf_counter_ns()
            try:
                return function(*args, **kwargs)
            finally:
                now = perf_counter_ns()
                spent[stage] += now - self._since
                self._stage, self._since = before, perf_counter_ns()

        return timed

    @contextmanager
    def watching(self, stages: dict[str, list[tuple[Any, str]]]) -> Iterator[None]:
        """Wrap (owner, attribute) of each stage for a while. Raises AttributeError where there is no such function."""
        originals = [(owner, name, owner.__dict__[name]) for places in stages.values() for owner, name in places]
        try:
            for stage, places in stages.items():
                for owner, name in places:
                    original = owner.__dict__[name]
                    setattr(owner, name, self.wrap(stage, original))
            self.take()
            yield
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)

    def take(self) -> dict[str, float]:
        now = perf_counter_ns()
        self._spent[self._stage] += now - self._since
        taken = {
            stage: ns - self._entered[stage] * self._inside_ns - self._left[stage] * self._outside_ns
            for stage, ns in self._spent.items()
        }
        self.calls.update(self._entered)
        for counter in (self._spent, self._entered, self._left):
            counter.clear()
        self._since = perf_counter_ns()
        return taken

    def _calibrate(self, calls: int = 20_000) -> tuple[float, float]:
        """What a wrapper adds to its own stage and to its caller's, nanoseconds a call: the least of several rounds."""
        wrapped = self.wrap("nothing", _nothing)
        rounds = []
        for _ in range(9):
            self.take()
            for _ in range(calls):
                wrapped(None)
            taken = self.take()
            rounds.append((taken["nothing"] / calls, taken["rest"] / calls))
        self.calls.clear()
        return min(inside for inside, _ in rounds), min(outside for _, outside in rounds)


def _nothing(_: object) -> None:
    pass
