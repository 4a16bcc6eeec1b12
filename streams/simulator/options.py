"""What can be set about the synthetic shop, and how it is written in a source's address."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qsl

from msgspec import Struct, structs

from streams.contracts.bounds import MAX_MS

_PREFIX = "simulator:"

SCENARIOS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "conversion": {},
        "clean": {"duplicates": 0.0, "late": 0.0, "bots": 0.0},
        "dirty": {"duplicates": 0.03, "late": 0.06, "bots": 0.05, "bad": 0.01},
    }
)
"""Named settings that an address starts from. `clean`: no duplicates, bots or late events; `dirty`: much of each."""


class OptionError(ValueError):
    """An option is unknown or its value is not possible; the message names it and what is."""


class SimulatorOptions(Struct, frozen=True, kw_only=True):
    """Settings of a synthetic shop. The same options give the same bytes.

    seed        any integer >= 0
    events      stop after so many arrivals of kind "event" (duplicates and bad ones count); None: no limit
    days        stop at so many days of event time after the start; None: no limit
    users       people who visit the shop at the same time, 10 to 1,000,000; who leaves is replaced by somebody new
    items       items on sale at the same time, 50 to 1,000,000; what is withdrawn is replaced by something new
    base_rate   mean conversion probability of a touch by a person, 0.0005 to 0.5
    start_ms    event time of the start; the default is 2026-01-05T00:00Z, a Monday
    duplicates  share of the events that are sent twice, 0 to 0.5
    late        share of the events that arrive minutes to a day after they happened, 0 to 0.5
    bots        share of the events that crawlers cause, 0 to 0.5
    bad         malformed records per event, sent in addition to the good ones, 0 to 0.5

    Raises `OptionError` for a value outside its range.
    """

    seed: int = 1
    events: int | None = 200_000
    days: float | None = None
    users: int = 3_000
    items: int = 1_500
    base_rate: float = 0.03
    start_ms: int = 1_767_571_200_000
    duplicates: float = 0.01
    late: float = 0.02
    bots: float = 0.02
    bad: float = 0.0

    def __post_init__(self) -> None:
        _within("seed", self.seed, 0, 2**63)
        _within("users", self.users, 10, 1_000_000)
        _within("items", self.items, 50, 1_000_000)
        _within("base_rate", self.base_rate, 0.0005, 0.5)
        _within("start_ms", self.start_ms, 0, MAX_MS)
        if self.events is not None:
            _within("events", self.events, 0, 10**12)
        if self.days is not None:
            _within("days", self.days, 0, 36_500)
        for name in ("duplicates", "late", "bots", "bad"):
            _within(name, getattr(self, name), 0, 0.5)

    @classmethod
    def parse(cls, text: str) -> SimulatorOptions:
        """Options from an address: `simulator:conversion?seed=7&base_rate=0.03`, with or without `simulator:`.

        The name before `?` is one of `SCENARIOS` (none: `conversion`). `none` takes the limit off `events` or `days`.
        Raises `OptionError`, which names the option that is wrong and those there are.
        """
        scenario, _, query = text.removeprefix(_PREFIX).partition("?")
        if scenario and scenario not in SCENARIOS:
            raise OptionError(f"unknown scenario {scenario!r} in {text!r}; there are: {', '.join(SCENARIOS)}")
        known = {field.name: field for field in structs.fields(cls)}
        chosen: dict[str, int | float | None] = dict(SCENARIOS[scenario or "conversion"])
        given: dict[str, str] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name not in known:
                raise OptionError(f"unknown option {name!r} in {text!r}; there are: {', '.join(known)}")
            if name in given:
                raise OptionError(f"option {name!r} occurs twice in {text!r}")
            given[name] = value
            chosen[name] = _number(name, value, whole=name in _WHOLE, optional=name in _OPTIONAL)
        return cls(**chosen)  # type: ignore[arg-type]  # the names were checked, and `_number` reads their types


_WHOLE = frozenset({"seed", "events", "users", "items", "start_ms"})
_OPTIONAL = frozenset({"events", "days"})


def _number(name: str, value: str, *, whole: bool, optional: bool) -> int | float | None:
    if optional and value == "none":
        return None
    try:
        return int(value) if whole else float(value)
    except ValueError:
        kind = "an integer" if whole else "a number"
        raise OptionError(f"{name}={value}: must be {kind}{' or none' if optional else ''}") from None


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise OptionError(f"{name}={value}: must be from {low} to {high}")
