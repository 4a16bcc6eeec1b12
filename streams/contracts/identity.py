"""Who a record is: deterministic ids and sequence numbers.

`id` names topic, epoch, partition and offset of the cause, the kind of the output and its index, so a replay makes
the same id again. The epoch rises when the topic is recreated or repartitioned, since offsets start anew then.

`seq` orders the outputs of one partition: (offset of the event that triggered it, index). A subscriber remembers the
largest `seq` of each partition it has seen and drops what is not larger; with a new epoch (in `cause`) it begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from streams.contracts.bounds import Count, Offset


@dataclass(frozen=True, slots=True)
class Source:
    """One partition of an input topic in one epoch. `topic` is the logical name, without the cluster's prefix."""

    topic: str
    epoch: int
    partition: int
    _prefix: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_prefix", f"{self.topic}:{self.epoch}:{self.partition}:")

    def output_id(self, offset: int, kind: str, index: int = 0) -> str:
        """The id of the `index`-th output of `kind` that the record at `offset` caused."""
        return f"{self._prefix}{offset}:{kind}:{index}"


class Seq(Struct, frozen=True, gc=False, array_like=True, order=True):
    """Position of an output among all outputs of its partition; compares like the pair."""

    offset: Offset
    index: Count


class Cause(Struct, frozen=True, gc=False):
    """The input record behind an output."""

    topic: str
    epoch: int
    partition: int
    offset: Offset
    event_id: str
