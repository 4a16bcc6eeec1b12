"""Fixtures of all tests: one real broker per run, a fresh topic prefix per test, the real data where it is.

`CLICKWAKE_KAFKA__BOOTSTRAP` names a running cluster to test against instead of starting one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.contracts.topics import Name, physical
from streams.ops.settings import BrokerSettings, KafkaSettings

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
TOOLS_REQUIRED = "CLICKWAKE_TEST_REQUIRE_TOOLS" in os.environ
"""Set where the tools that some tests need were installed: a missing one is a failure then."""


def pytest_configure(config: pytest.Config) -> None:
    # kafka-python 3.0 loads its protocol with functions that Python 3.11 calls deprecated.
    config.addinivalue_line("filterwarnings", r"ignore:(read_text|open_text) is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own CLICKWAKE_* variables must not decide what a test sees."""
    for name in [name for name in os.environ if name.startswith("CLICKWAKE_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """A command that a test runs configures logging of the whole process."""
    yield
    import structlog

    from streams.ops import logs

    names = [*logs.OURS, *logs.ENGINE_LIBRARIES, *logs.CLIENT_LIBRARIES]
    for logger in (logging.root, *map(logging.getLogger, names)):
        logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, logs.LineHandler)]
        logger.propagate = True
        logger.setLevel(logging.WARNING if logger is logging.root else logging.NOTSET)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`host:port` of a real Kafka, started once per test run."""
    given = os.environ.get("CLICKWAKE_KAFKA__BOOTSTRAP")
    if given:
        yield given
        return
    import streams.broker

    settings = BrokerSettings(port=0, data_dir=tmp_path_factory.mktemp("kafka") / "data")
    info = streams.broker.start(settings)
    try:
        asyncio.run(_wake_coordinator(info.bootstrap))
        yield info.bootstrap
    finally:
        streams.broker.stop(settings)


async def _wake_coordinator(bootstrap: str) -> None:
    """A fresh cluster has no group coordinator until it is first asked for one, and librdkafka's admin client doesn't
    wait for it."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    await admin.list_consumer_group_offsets("nobody")
                    return
                except KafkaError:
                    await asyncio.sleep(0.2)
    finally:
        await admin.close()


@pytest.fixture
def topic_prefix(broker: str) -> Iterator[str]:
    """A prefix no other test uses; its topics are deleted at the end."""
    from confluent_kafka.admin import AdminClient

    prefix = f"t{uuid.uuid4().hex[:12]}."
    yield prefix
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})
    mine = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefix)]
    if mine:
        for future in admin.delete_topics(mine).values():
            future.result()


@pytest.fixture
def kafka_settings(broker: str, topic_prefix: str) -> KafkaSettings:
    """Settings of the real broker; no topic exists yet."""
    return KafkaSettings(bootstrap=broker, topic_prefix=topic_prefix, partitions=3, request_timeout_s=20)


@pytest.fixture
def kafka_topics(kafka_settings: KafkaSettings) -> KafkaSettings:
    """The same, with all topics of the table created."""
    from streams.ops import cluster, topics

    assert kafka_settings.bootstrap is not None
    with cluster.admin_client(kafka_settings.bootstrap, kafka_settings.request_timeout_s) as admin:
        topics.apply(admin, kafka_settings)
    return kafka_settings


@pytest.fixture
def physical_name(topic_prefix: str) -> Callable[[Name], str]:
    """Logical name -> name on the broker, under this test's prefix."""
    return lambda name: physical(topic_prefix, name)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clickstreams; skips where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"needs the real data in {DATA.parent.name}/{DATA.name} beside the repository")
    return DATA


@pytest.fixture(scope="session")
def tool() -> Callable[[str, str], str]:
    """`tool(program, package)`: its path; skips where it is not installed, or fails where tools are required."""

    def find(program: str, package: str) -> str:
        path = shutil.which(program)
        if path is None:
            message = f"needs {program} (in Debian's package `{package}`)"
            pytest.fail(message) if TOOLS_REQUIRED else pytest.skip(message)
        return path

    return find
