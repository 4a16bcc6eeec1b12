"""What a subscriber of an output topic does to see each record once."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from streams.contracts.identity import Seq


class _Numbered(msgspec.Struct):
    seq: Seq


_decoder: msgspec.json.Decoder[_Numbered] = msgspec.json.Decoder(_Numbered)


def seq_of(value: bytes) -> Seq:
    """The sequence number of an output record.

    Raises:
        msgspec.ValidationError: it has none.
    """
    return _decoder.decode(value).seq


class Subscriber:
    """Remembers the largest `seq` of one partition of one topic and drops what is not larger."""

    def __init__(self) -> None:
        self.newest: Seq | None = None

    def take(self, values: Iterable[bytes]) -> list[bytes]:
        """Those records that are new."""
        new = []
        for value in values:
            seq = seq_of(value)
            if self.newest is None or seq > self.newest:
                self.newest = seq
                new.append(value)
        return new
