"""THE table of topics: what `clickwake topics apply` creates, schemas are generated from and the engine writes to."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from streams.contracts.catalog import CatalogItem
from streams.contracts.events import Event
from streams.contracts.examples import Example
from streams.contracts.outputs import Conversion, Recommendations
from streams.contracts.rejected import Rejected
from streams.contracts.snapshots import Manifest

_DAY_MS = 86_400_000


class Name(StrEnum):
    """Logical topic names; the cluster's prefix is put before them by `physical`."""

    EVENTS = "clickstream.events.v1"
    CATALOG = "catalog.items.v1"
    CONVERSIONS = "conversions.v1"
    RECOMMENDATIONS = "recommendations.v1"
    EXAMPLES = "training.examples.v1"
    REJECTED = "clickstream.rejected.v1"
    SNAPSHOTS = "models.snapshots.v1"
    USER_STATE = "clickwake.user-state.v1"


class Topic(Struct, frozen=True, kw_only=True):
    """One row.

    `partitions` none: as many as the event topic has, since an output goes to the partition number of its source.
    `retention_ms` none: kept for ever. `arrival_time`: the broker stamps records, so that arrival can't be claimed.
    """

    name: Name
    record: object
    purpose: str
    key: str
    reader: str
    partitions: int | None = None
    compacted: bool = False
    retention_ms: int | None = None
    arrival_time: bool = False
    extra: dict[str, str] = {}

    @property
    def config(self) -> dict[str, str]:
        """Topic settings as Kafka spells them. min.insync.replicas is the cluster's own decision."""
        return {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": str(-1 if self.retention_ms is None else self.retention_ms),
            "message.timestamp.type": "LogAppendTime" if self.arrival_time else "CreateTime",
            "max.message.bytes": str(2 * 1024 * 1024),
            **self.extra,
        }


# A compacted topic keeps its newest day whole: a worker that was away that long still reads every record it missed
# in order, and a zombie's late write can be overruled (longest tolerated outage: 1 day).
_CHANGELOG = {"min.compaction.lag.ms": str(_DAY_MS), "segment.ms": str(_DAY_MS // 4)}

TOPICS: tuple[Topic, ...] = (
    Topic(
        name=Name.EVENTS,
        record=Event,
        purpose="what visitors do; the only input of user state",
        key="user_id",
        reader="score workers",
        retention_ms=7 * _DAY_MS,  # a week to repair and replay; longer logs belong in an encrypted export
        arrival_time=True,
    ),
    Topic(
        name=Name.CATALOG,
        record=CatalogItem,
        purpose="items of the shop; a tombstone removes one",
        key="item_id",
        reader="every score worker, whole",
        partitions=1,
        compacted=True,
    ),
    Topic(
        name=Name.CONVERSIONS,
        record=Conversion,
        purpose="probability that a touch ends in a purchase",
        key="user_id",
        reader="subscribers",
        retention_ms=7 * _DAY_MS,
    ),
    Topic(
        name=Name.RECOMMENDATIONS,
        record=Recommendations,
        purpose="the next items a visitor wants",
        key="user_id",
        reader="subscribers",
        retention_ms=7 * _DAY_MS,
    ),
    Topic(
        name=Name.EXAMPLES,
        record=Example,
        purpose="labels joined to the features of their touch's time",
        key="user_id",
        reader="learn worker",
        retention_ms=14 * _DAY_MS,  # a learner may be rebuilt from two horizons
    ),
    Topic(
        name=Name.REJECTED,
        record=Rejected,
        purpose="bad input, whole and with the reason",
        key="as it came",
        reader="operators",
        retention_ms=14 * _DAY_MS,  # two weeks to mend a producer and replay
    ),
    Topic(
        name=Name.SNAPSHOTS,
        record=Manifest,
        purpose="the newest version of each model",
        key="model name",
        reader="every score worker, whole",
        partitions=1,
        compacted=True,
    ),
    Topic(
        name=Name.USER_STATE,
        record=None,
        purpose="changelog of the user state, read back after a crash",
        key="user_id",
        reader="score workers",
        compacted=True,
        extra=_CHANGELOG,
    ),
)

BY_NAME: dict[Name, Topic] = {topic.name: topic for topic in TOPICS}


def physical(prefix: str, name: Name) -> str:
    """The name on the cluster: several shops or environments share one under different prefixes."""
    return f"{prefix}{name.value}"
