"""Topic administration: the difference between THE table of topics and a cluster, and closing it.

Only what can be done without harm is done: create what is missing, alter settings. Kafka can't take partitions away,
and adding some moves users to other partitions, away from their state, so a wrong count is reported with the procedure.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from streams.contracts.topics import TOPICS, Topic, physical
from streams.ops.cluster import KafkaRefusedError
from streams.ops.settings import KafkaSettings

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

_SEEN_WITHIN_S = 10.0


class State(StrEnum):
    """How a topic on the cluster compares with the table."""

    OK = "ok"
    MISSING = "missing"
    CONFIG = "config"
    PARTITIONS = "partitions"
    REPLICATION = "replication"


@dataclass(frozen=True)
class Spec:
    """A topic as it should be, or as it was found: then `config` has every effective setting."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """One topic of the plan. `changes`: setting -> (found, wanted)."""

    topic: str
    state: State
    changes: Mapping[str, tuple[str, str]]
    repair: str

    @property
    def blocked(self) -> bool:
        """A person must act: `apply` can't."""
        return self.state in (State.PARTITIONS, State.REPLICATION)

    def to_json(self) -> dict[str, Any]:
        changes = {name: {"found": found, "wanted": wanted} for name, (found, wanted) in self.changes.items()}
        return {"topic": self.topic, "state": self.state.value, "changes": changes, "repair": self.repair}


def wanted(kafka: KafkaSettings, topics: Iterable[Topic] = TOPICS) -> list[Spec]:
    """The table, made physical with the prefix, partition count and replication of this cluster."""
    return [
        Spec(
            physical(kafka.topic_prefix, topic.name),
            kafka.partitions if topic.partitions is None else topic.partitions,
            kafka.replication_factor,
            topic.config,
        )
        for topic in topics
    ]


def compare(specs: Iterable[Spec], found: Mapping[str, Spec]) -> list[Row]:
    """What `apply` would do and what it can't, one row per wanted topic."""
    return [_compare_one(spec, found.get(spec.name)) for spec in specs]


def _compare_one(spec: Spec, found: Spec | None) -> Row:
    if found is None:
        return Row(spec.name, State.MISSING, {}, "`clickwake topics apply` creates it")
    if found.partitions != spec.partitions:
        return Row(
            spec.name,
            State.PARTITIONS,
            {"partitions": (str(found.partitions), str(spec.partitions))},
            f"can't be changed in place. Either set CLICKWAKE_KAFKA__PARTITIONS={found.partitions}, or start a new "
            "epoch: stop all workers, recreate the topics, raise CLICKWAKE_ENGINE__EPOCH by one, start again",
        )
    if found.replication < spec.replication:
        return Row(
            spec.name,
            State.REPLICATION,
            {"replication": (str(found.replication), str(spec.replication))},
            "reassign its partitions with `kafka-reassign-partitions.sh`, which copies the data to more brokers",
        )
    changes = {
        name: (found.config.get(name, "unset"), value)
        for name, value in spec.config.items()
        if found.config.get(name) != value
    }
    if changes:
        return Row(spec.name, State.CONFIG, changes, "`clickwake topics apply` alters these settings")
    return Row(spec.name, State.OK, {}, "")


def describe(admin: KafkaAdminClient, names: Iterable[str]) -> dict[str, Spec]:
    """What the cluster has of the topics `names`, by name.

    Raises:
        KafkaRefusedError: the cluster doesn't let us look.
    """
    from kafka.admin import ConfigResource, ConfigResourceType
    from kafka.errors import (
        KafkaConnectionError,
        KafkaError,
        KafkaTimeoutError,
        UnknownTopicOrPartitionError,
        for_code,
    )

    try:
        existing: dict[str, tuple[int, int]] = {}
        for topic in admin.describe_topics(list(names)):
            error = for_code(topic["error_code"])
            if error is UnknownTopicOrPartitionError:
                continue
            if topic["error_code"]:
                raise error(topic["name"])
            partitions = topic["partitions"]
            existing[topic["name"]] = (len(partitions), min(len(part["replica_nodes"]) for part in partitions))
        if not existing:
            return {}
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in existing]
        configs = admin.describe_configs(resources, config_filter="all")["topic"]
    except (KafkaTimeoutError, KafkaConnectionError):
        raise  # `admin_client` tells of it
    except KafkaError as error:
        raise _refused("reading topics", error) from None
    return {
        name: Spec(name, partitions, replication, {k: c["value"] for k, c in configs[name].items()})
        for name, (partitions, replication) in existing.items()
    }


def plan(admin: KafkaAdminClient, kafka: KafkaSettings) -> list[Row]:
    """Compare the table with the cluster; changes nothing."""
    specs = wanted(kafka)
    return compare(specs, describe(admin, [spec.name for spec in specs]))


def apply(admin: KafkaAdminClient, kafka: KafkaSettings) -> list[Row]:
    """Create what is missing, alter settings that differ; the rows say what was found before. Idempotent.

    Returns when the cluster shows the changes and every created topic has leaders. Blocked rows are left alone.

    Raises:
        KafkaRefusedError: the cluster won't (rights, too few brokers for the replication factor).
    """
    from kafka.admin import ConfigResource, ConfigResourceType
    from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError

    specs = {spec.name: spec for spec in wanted(kafka)}
    rows = compare(specs.values(), describe(admin, specs))
    missing = {
        row.topic: {
            "num_partitions": specs[row.topic].partitions,
            "replication_factor": specs[row.topic].replication,
            "configs": dict(specs[row.topic].config),
        }
        for row in rows
        if row.state is State.MISSING
    }
    altered = [
        ConfigResource(ConfigResourceType.TOPIC, row.topic, {k: new for k, (_, new) in row.changes.items()})
        for row in rows
        if row.state is State.CONFIG
    ]
    try:
        if missing:
            admin.create_topics(missing, wait_for_metadata=True)
        if altered:
            answers = admin.alter_configs(altered)["topic"]
            for name, answer in answers.items():
                if answer != "OK":  # the client returns this one's errors as text
                    raise KafkaRefusedError(f"altering the settings of {name}: {answer}")
    except (KafkaTimeoutError, KafkaConnectionError):
        raise  # `admin_client` tells of it
    except KafkaError as error:
        raise _refused("changing topics", error) from None
    _wait_until_seen(admin, [specs[row.topic] for row in rows if row.state is State.CONFIG])
    return rows


def _wait_until_seen(admin: KafkaAdminClient, specs: list[Spec]) -> None:
    """A KRaft broker answers an alteration before it shows it; then `plan` would still find a difference."""
    deadline_s = time.monotonic() + _SEEN_WITHIN_S
    while specs and any(row.state is State.CONFIG for row in compare(specs, describe(admin, [s.name for s in specs]))):
        if time.monotonic() > deadline_s:
            raise KafkaRefusedError(
                f"settings were altered, but the cluster doesn't show it after {_SEEN_WITHIN_S:g} s"
            )
        time.sleep(0.05)


def _refused(doing: str, error: Exception) -> KafkaRefusedError:
    from kafka.errors import InvalidReplicationFactorError

    hint = "Check the rights of this client (ACLs)."
    if isinstance(error, InvalidReplicationFactorError):
        hint = "The cluster has fewer brokers than CLICKWAKE_KAFKA__REPLICATION_FACTOR."
    return KafkaRefusedError(f"{doing}: {error}. {hint}")


def require(admin: KafkaAdminClient, kafka: KafkaSettings) -> None:
    """What a worker needs before it starts: every topic there, with the partitions that it expects.

    Raises:
        KafkaRefusedError: names the topics and the repair.
    """
    unfit = [row for row in plan(admin, kafka) if row.state in (State.MISSING, State.PARTITIONS)]
    if unfit:
        listing = "\n".join(f"  {row.topic}: {row.repair or row.state.value}" for row in unfit)
        raise KafkaRefusedError(f"topics are not as the worker needs them; see `clickwake topics plan`:\n{listing}")
