"""A Faust app as both roles need it: safe defaults, our transport, our recovery."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import faust
from yarl import URL

from streams.engine.compat import check_versions
from streams.engine.consumer import BatchTransport
from streams.engine.groups import group_of
from streams.engine.recovery import install
from streams.engine.schema import BatchSchema
from streams.ops.settings import Settings

FETCHED_BATCHES = 64


class _App(faust.App):
    """Tables in memory need no folder, and the working one may be read-only."""

    logger = logging.getLogger("faust.app")

    def _create_directories(self) -> None:
        pass


def new_app(settings: Settings, bootstrap: str, role: str) -> Any:
    """An app without web server, topic creation, pickle or directory of its own.

    Raises:
        IncompatibleVersionError: another Faust or aiokafka is installed.
    """
    check_versions()
    logging.getLogger("faust").setLevel(logging.WARNING)
    logging.getLogger("aiokafka.conn").setLevel(logging.INFO)  # below, it prints keys and payloads
    engine = settings.engine
    brokers = [URL(f"kafka://{address}") for address in bootstrap.split(",")]
    app = _App(
        group_of(settings, role),
        broker=brokers,
        autodiscover=False,
        store="memory://",
        key_serializer="raw",
        value_serializer="raw",
        processing_guarantee="at_least_once",
        web_enabled=False,
        web_bind="127.0.0.1",
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.kafka.partitions,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=engine.commit_interval_s,
        broker_session_timeout=engine.session_timeout_s,
        broker_heartbeat_interval=min(3.0, engine.session_timeout_s / 3),
        broker_request_timeout=max(60.0, engine.session_timeout_s),
        broker_rebalance_timeout=60.0,
        broker_max_poll_records=engine.batch_max_records,
        stream_buffer_maxsize=FETCHED_BATCHES,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app, loop=app.loop)
    return app


def consume(app: Any, topic: str, partitions: int, on_batch: Callable[[Any], Awaitable[None]]) -> None:
    """Register the one agent: `on_batch(event)` for each fetched batch, whose value is a list of aiokafka records. The
    event is acknowledged by whoever finishes the batch. `on_batch` must not raise: Faust would skip the batch."""
    channel = app.topic(topic, schema=BatchSchema(), partitions=partitions)

    @app.agent(channel, name=f"{topic}-batches", concurrency=1)  # type: ignore[untyped-decorator]
    async def batches(stream: Any) -> AsyncIterator[None]:
        async for event in stream.noack().events():
            await on_batch(event)
            yield


def finalize(app: Any) -> None:
    """Fix agents and tables, and give the tables our recovery."""
    app.finalize()
    install(app)
