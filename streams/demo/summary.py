"""The figures of a demo: one moment of it, what it amounted to, and whether all was well."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from streams.demo.tally import OutputCount, Tally

_DAY_MS = 86_400_000
_RATE_OVER_S = 3.0


@dataclass(frozen=True)
class Moment:
    """What the view and the progress lines show. Rates are per second over the last three."""

    running_s: float
    simulated_ms: int
    simulated_days: float
    events: int
    events_rate: float
    conversions_rate: float
    recommendations_rate: float
    days_rate: float


class Rates:
    """Turns running totals into rates over the last seconds."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, tuple[float, ...]]] = deque()

    def add(self, at_s: float, *totals: float) -> tuple[float, ...]:
        """The rate of each total; 0 at the first call."""
        points = self._points
        points.append((at_s, totals))
        while len(points) > 2 and at_s - points[1][0] >= _RATE_OVER_S:
            points.popleft()
        then_s, then = points[0]
        passed_s = at_s - then_s
        return tuple((now - before) / passed_s if passed_s else 0.0 for now, before in zip(totals, then, strict=True))


class Pulse:
    """Makes moments."""

    def __init__(self, start_ms: int) -> None:
        self._start_ms = start_ms
        self._rates = Rates()

    def at(self, running_s: float, simulated_ms: int, tally: Tally) -> Moment:
        """The moment `running_s` after the opening; events are counted when they are read back from Kafka."""
        days = (simulated_ms - self._start_ms) / _DAY_MS
        rates = self._rates.add(running_s, tally.events, tally.conversions.total, tally.recommendations.total, days)
        return Moment(running_s, simulated_ms, days, tally.events, *rates)


def progress(moment: Moment, tally: Tally) -> str:
    """One line for a log."""
    parts = [
        f"{moment.running_s:3.0f} s",
        f"day {moment.simulated_days:.1f}",
        f"{moment.events:,} events ({moment.events_rate:,.0f}/s)",
        f"{tally.conversions.total:,} conversions",
        f"{tally.recommendations.total:,} recommendations",
        f"{tally.rejected.total():,} rejected",
        f"delay p50 {delay(tally.delays.recent(0.5))} p99 {delay(tally.delays.recent(0.99))}",
    ]
    for name, model in sorted(tally.models.items()):
        loss = model.manifest.metrics.get("log_loss")
        parts.append(f"{name} model {model.versions}" + ("" if loss is None else f" log loss {loss:.4f}"))
    return ", ".join(parts)


def delay(milliseconds: int | None) -> str:
    """For people: `120 ms`, `1.4 s`, or a dash."""
    if milliseconds is None:
        return "-"
    return f"{milliseconds} ms" if milliseconds < 1_000 else f"{milliseconds / 1000:.1f} s"


def checks(tally: Tally, *, worker_exit_code: int, undelivered: int, outputs_due: bool) -> dict[str, bool]:
    """What must hold of a run. `undelivered`: records of the shop that Kafka didn't take."""
    found = {
        "ids_unique": tally.ids.repeated == 0,
        "outputs_readable": tally.unreadable == 0,
        "events_delivered": undelivered == 0,
        "worker_ended_well": worker_exit_code == 0,
    }
    if outputs_due:
        found["conversions_arrived"] = tally.conversions.total > 0
        found["recommendations_arrived"] = tally.recommendations.total > tally.recommendations.empty
    return found


def summary(
    moment: Moment, tally: Tally, *, found: dict[str, bool], duplicates: int, worker_exit_code: int
) -> dict[str, Any]:
    """The run as one JSON object; `delay_ms` is from an event's arrival in Kafka to the writing of its output."""
    return {
        "ok": all(found.values()),
        "checks": found,
        "seconds": round(moment.running_s, 1),
        "simulated_days": round(moment.simulated_days, 2),
        "events": moment.events,
        "events_per_second": round(moment.events / moment.running_s, 1) if moment.running_s else 0.0,
        "conversions": {
            **_outputs(tally.conversions),
            "mean_probability": _mean(tally.conversions.probability_sum, tally.conversions.total),
        },
        "recommendations": {**_outputs(tally.recommendations), "empty": tally.recommendations.empty},
        "rejected": dict(sorted(tally.rejected.items())),
        "duplicates_dropped": duplicates,
        "delay_ms": {"p50": tally.delays.overall(0.5), "p99": tally.delays.overall(0.99)},
        "models": {
            name: {
                "versions": seen.versions,
                "version": seen.manifest.version,
                "examples": seen.manifest.examples,
                **{metric: round(value, 5) for metric, value in sorted(seen.manifest.metrics.items())},
            }
            for name, seen in sorted(tally.models.items())
        },
        "worker_exit_code": worker_exit_code,
    }


def _outputs(count: OutputCount) -> dict[str, int]:
    return {"count": count.total, "degraded": count.degraded}


def _mean(total: float, count: int) -> float | None:
    return round(total / count, 5) if count else None
