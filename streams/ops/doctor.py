"""The doctor's checks: each says what it found, and what to do where that is wrong. They change nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from streams.contracts.topics import Name, physical
from streams.ops import topics
from streams.ops.clock import Clock
from streams.ops.cluster import KafkaRefusedError, KafkaUnreachableError, admin_client
from streams.ops.settings import KafkaSettings, Settings, SettingsError

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

SETTINGS, BROKER, TOPICS, STORE, CLOCK = "settings", "broker", "topics", "model store", "clock"
MAX_AHEAD_MS = 2_000


@dataclass(frozen=True)
class Check:
    """One finding. `repair` is empty unless it failed."""

    name: str
    state: Literal["ok", "failed", "skipped"]
    detail: str
    repair: str = ""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def examine(settings: Settings, bootstrap: str, clock: Clock) -> list[Check]:
    """All checks, with a cluster at `bootstrap`.

    Raises:
        KafkaUnreachableError: nothing answers there.
    """
    with admin_client(bootstrap, min(settings.kafka.request_timeout_s, 10.0)) as admin:
        return [
            Check(SETTINGS, "ok", "all values are valid"),
            _check(BROKER, lambda: _broker(admin, bootstrap)),
            _check(TOPICS, lambda: _topics(admin, settings.kafka)),
            model_store(settings.model.store),
            _check(CLOCK, lambda: _clock(admin, settings.kafka, clock)),
        ]


def without_broker(settings: Settings, error: KafkaUnreachableError) -> list[Check]:
    """What can be said when no broker answers."""
    return [
        Check(SETTINGS, "ok", "all values are valid"),
        Check(BROKER, "failed", str(error), "clickwake broker start, or set CLICKWAKE_KAFKA__BOOTSTRAP"),
        Check(TOPICS, "skipped", "needs the broker"),
        model_store(settings.model.store),
        Check(CLOCK, "skipped", "needs the broker"),
    ]


def wrong_settings(error: SettingsError) -> Check:
    return Check(SETTINGS, "failed", str(error), "correct or unset the variable")


def model_store(store: Path) -> Check:
    """Can snapshots be written? Tried with a nameless file, where the folder or its nearest parent exists."""
    place = store.expanduser().absolute()
    while not place.exists():
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"clickwake")
            probe.flush()
    except OSError as error:
        repair = f"make {store} a folder this user may write, or set CLICKWAKE_MODEL__STORE"
        return Check(STORE, "failed", f"{place} can't be written: {error.strerror or error}", repair)
    return Check(STORE, "ok", f"{store} can be written" if place == store.absolute() else f"{store} can be made")


def _check(name: str, examine_it: Callable[[], Check]) -> Check:
    try:
        return examine_it()
    except KafkaRefusedError as error:
        return Check(name, "failed", str(error), "give this client the rights to describe topics and configs")


def _broker(admin: KafkaAdminClient, bootstrap: str) -> Check:
    cluster = admin.describe_cluster()
    version = ".".join(map(str, admin._manager.broker_version))  # the client has no public name for it
    return Check(BROKER, "ok", f"{bootstrap} answers: {len(cluster['brokers'])} broker(s), Kafka {version} or newer")


def _topics(admin: KafkaAdminClient, kafka: KafkaSettings) -> Check:
    rows = topics.plan(admin, kafka)
    wrong = [row for row in rows if row.state is not topics.State.OK]
    if not wrong:
        return Check(TOPICS, "ok", f"all {len(rows)} topics are as planned")
    detail = ", ".join(f"{row.topic} ({row.state.value})" for row in wrong)
    blocked = next((row for row in wrong if row.blocked), None)
    repair = "clickwake topics apply" if blocked is None else f"{blocked.topic}: {blocked.repair}"
    return Check(TOPICS, "failed", detail, repair)


def _clock(admin: KafkaAdminClient, kafka: KafkaSettings, clock: Clock) -> Check:
    """Kafka tells its time only by the stamps it put on records: one that lies ahead of us is proof of a skew.

    A broker that is behind can't be told from one that has had no records for a while.
    """
    from kafka import TopicPartition
    from kafka.admin import OffsetSpec
    from kafka.errors import KafkaError

    topic = physical(kafka.topic_prefix, Name.EVENTS)
    found = topics.describe(admin, [topic]).get(topic)
    if found is None or found.config.get("message.timestamp.type") != "LogAppendTime":
        return Check(CLOCK, "skipped", "not measured: the event topic isn't there, or the broker doesn't stamp it")
    asked = {TopicPartition(topic, number): OffsetSpec.MAX_TIMESTAMP for number in range(found.partitions)}
    try:
        stamps = [answer.timestamp for answer in admin.list_partition_offsets(asked).values()]
    except KafkaError as error:
        return Check(CLOCK, "skipped", f"not measured: the broker doesn't tell its newest stamp ({error})")
    newest_ms = max((stamp for stamp in stamps if stamp is not None), default=-1)
    if newest_ms < 0:
        return Check(CLOCK, "skipped", "not measured: no event has arrived yet")
    ahead_ms = newest_ms - clock.now_ms()
    if ahead_ms > MAX_AHEAD_MS:
        repair = "run NTP on both machines: event times are compared with the broker's clock"
        return Check(CLOCK, "failed", f"the broker's clock is at least {ahead_ms / 1000:.1f} s ahead of ours", repair)
    return Check(CLOCK, "ok", "the broker's clock is not ahead of ours (whether it is behind can't be told)")
