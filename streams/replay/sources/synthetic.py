"""The synthetic shop as a source: its catalogue, then its arrivals with their arrival times."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from streams.replay.sources.rows import Row, SourceError, SourceEvent, Topic
from streams.simulator import OptionError, Shop, SimulatorOptions


class SimulatorSource:
    """`line` is the running number of the record. Malformed records, if asked for, come as a real log brings them."""

    def __init__(self, address: str, text: str) -> None:
        self.total_bytes: int | None = None
        self.bytes_read = 0
        try:
            self._options = SimulatorOptions.parse(text)
        except OptionError as error:
            raise SourceError(f"{address}: {error}") from None

    def __iter__(self) -> Iterator[Row]:
        shop = Shop(self._options)
        encode = msgspec.json.Encoder().encode
        line = self.bytes_read = 0
        for item in shop.catalog():
            line += 1
            value = encode(item)
            self.bytes_read += len(value)
            yield SourceEvent(line, item.item_id.encode(), value, self._options.start_ms, "catalog")
        for arrival in shop.stream():
            line += 1
            topic: Topic = "events" if arrival.kind == "event" else "catalog"
            self.bytes_read += len(arrival.value)
            yield SourceEvent(line, arrival.key, arrival.value, arrival.arrival_ms, topic)
