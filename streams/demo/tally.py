"""What a demo has seen, folded from the records of all topics as a subscriber reads them. No Kafka, no clock."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from streams.contracts.catalog import CatalogItem
from streams.contracts.outputs import Conversion, Recommendations
from streams.contracts.rejected import Rejected
from streams.contracts.snapshots import Manifest
from streams.contracts.topics import Name, physical
from streams.replay.watch import Output

FOLLOWED = (Name.EVENTS, Name.CATALOG, Name.CONVERSIONS, Name.RECOMMENDATIONS, Name.REJECTED, Name.SNAPSHOTS)
_V = TypeVar("_V")
_REMEMBERED = 50_000  # events and outputs that wait for each other
_RECENT = 5_000  # delays that the live figures are of


@dataclass
class OutputCount:
    """Outputs of one topic. `empty`: lists without an item. `unreadable`: not of the contract."""

    total: int = 0
    degraded: int = 0
    empty: int = 0
    unreadable: int = 0
    probability_sum: float = 0.0


@dataclass
class ModelSeen:
    """The newest version of one model, and how many there were."""

    manifest: Manifest
    versions: int


class Tally:
    """Fold with `add`; read everything else."""

    def __init__(self, prefix: str) -> None:
        self.events = 0
        self.conversions = OutputCount()
        self.recommendations = OutputCount()
        self.rejected: Counter[str] = Counter()
        self.models: dict[str, ModelSeen] = {}
        self.titles: dict[str, CatalogItem] = {}
        self.last_conversion: Conversion | None = None
        self.last_recommendations: Recommendations | None = None
        self.ids = Ids()
        self.delays = Delays()
        self._applied: dict[int, int] = {}
        self._fold = {
            physical(prefix, Name.EVENTS): self._event,
            physical(prefix, Name.CATALOG): self._item,
            physical(prefix, Name.CONVERSIONS): self._conversion,
            physical(prefix, Name.RECOMMENDATIONS): self._recommendations,
            physical(prefix, Name.REJECTED): self._rejected,
            physical(prefix, Name.SNAPSHOTS): self._model,
        }
        self._as_item = msgspec.json.Decoder(CatalogItem)
        self._as_conversion = msgspec.json.Decoder(Conversion)
        self._as_recommendations = msgspec.json.Decoder(Recommendations)
        self._as_rejected = msgspec.json.Decoder(Rejected)
        self._as_manifest = msgspec.json.Decoder(Manifest)

    @property
    def unreadable(self) -> int:
        """Outputs that aren't of their contract."""
        return self.conversions.unreadable + self.recommendations.unreadable

    @property
    def applied(self) -> int:
        """Events up to the newest one of each partition that caused an output; those after it may be applied too."""
        return sum(list(self._applied.values()))  # the copy is atomic: the shop's thread asks

    def add(self, output: Output) -> None:
        """Count one record; what can't be read counts as such."""
        self._fold[output.topic](output)

    def _event(self, output: Output) -> None:
        self.events += 1
        self.delays.arrived(output.partition, output.offset, output.arrival_ms)

    def _item(self, output: Output) -> None:
        try:
            item = self._as_item.decode(output.value or b"")
        except msgspec.DecodeError:
            return  # a tombstone: its title still explains older outputs
        self.titles[item.item_id] = item

    def _conversion(self, output: Output) -> None:
        count = self.conversions
        try:
            record = self._as_conversion.decode(output.value or b"")
        except msgspec.DecodeError:
            count.unreadable += 1
            return
        count.total += 1
        count.degraded += record.degraded
        count.probability_sum += record.probability
        self._output(record, output)
        self.last_conversion = record

    def _recommendations(self, output: Output) -> None:
        count = self.recommendations
        try:
            record = self._as_recommendations.decode(output.value or b"")
        except msgspec.DecodeError:
            count.unreadable += 1
            return
        count.total += 1
        count.degraded += record.degraded
        count.empty += not record.items
        self._output(record, output)
        if record.items:
            self.last_recommendations = record

    def _output(self, record: Conversion | Recommendations, output: Output) -> None:
        cause = record.cause
        self.ids.add(record.id)
        self.delays.written(cause.partition, cause.offset, output.arrival_ms)
        self._applied[cause.partition] = max(self._applied.get(cause.partition, 0), cause.offset + 1)

    def _rejected(self, output: Output) -> None:
        try:
            self.rejected[self._as_rejected.decode(output.value or b"").failure.code.value] += 1
        except msgspec.DecodeError:
            self.rejected["unreadable"] += 1

    def _model(self, output: Output) -> None:
        try:
            manifest = self._as_manifest.decode(output.value or b"")
        except msgspec.DecodeError:
            return
        before = self.models.get(manifest.name)
        self.models[manifest.name] = ModelSeen(manifest, 1 if before is None else before.versions + 1)


class Ids:
    """Counts ids that were seen before, exactly, with about one bit per event: an id ends in `offset:kind:index`."""

    def __init__(self) -> None:
        self.repeated = 0
        self._offsets: dict[tuple[str, str], bytearray] = {}
        self._others: set[str] = set()

    def add(self, record_id: str) -> None:
        head, offset_text, kind, index = ("", "", "", *record_id.rsplit(":", 3))[-4:]
        if not (head and offset_text.isascii() and offset_text.isdigit() and len(offset_text) < 10):
            self.repeated += record_id in self._others
            self._others.add(record_id)
            return
        seen = self._offsets.setdefault((head, f"{kind}:{index}"), bytearray())
        place, bit = divmod(int(offset_text), 8)
        if place >= len(seen):
            seen.extend(bytes(place + 1024 - len(seen)))
        self.repeated += seen[place] >> bit & 1
        seen[place] |= 1 << bit


@dataclass
class Delays:
    """Milliseconds from an event's arrival in Kafka to the writing of an output that it caused, by the records' times.

    Topics are read in no common order, so an output may be seen before its event: whoever comes first waits.
    """

    all_ms: Counter[int] = field(default_factory=Counter)
    recent_ms: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _arrivals: dict[tuple[int, int], int] = field(default_factory=dict)
    _waiting: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def arrived(self, partition: int, offset: int, at_ms: int) -> None:
        place = (partition, offset)
        _put(self._arrivals, place, at_ms)
        for written_ms in self._waiting.pop(place, ()):
            self._note(written_ms - at_ms)

    def written(self, partition: int, offset: int, at_ms: int) -> None:
        place = (partition, offset)
        arrived_ms = self._arrivals.get(place)
        if arrived_ms is not None:
            self._note(at_ms - arrived_ms)
        elif place in self._waiting:
            self._waiting[place].append(at_ms)
        else:
            _put(self._waiting, place, [at_ms])

    def recent(self, share: float) -> int | None:
        """The quantile `share` (0 to 1) of the newest 5,000; none without any."""
        return quantile(Counter(self.recent_ms), share)

    def overall(self, share: float) -> int | None:
        """The quantile `share` of all."""
        return quantile(self.all_ms, share)

    def _note(self, delay_ms: int) -> None:
        delay_ms = max(delay_ms, 0)  # a broker's clock may be ahead of a worker's
        self.all_ms[delay_ms] += 1
        self.recent_ms.append(delay_ms)


def _put(remembered: dict[tuple[int, int], _V], place: tuple[int, int], value: _V) -> None:
    if len(remembered) >= _REMEMBERED:
        del remembered[next(iter(remembered))]
    remembered[place] = value


def quantile(counts: Counter[int], share: float) -> int | None:
    """The smallest value that at least `share` of all counted ones don't exceed; none without any."""
    wanted = share * counts.total()
    below = 0
    for value in sorted(counts):
        below += counts[value]
        if below >= wanted:
            return value
    return None
