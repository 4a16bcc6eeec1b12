"""Makes environments of the engine on the real broker, and lets tests import `engine_driver`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from engine_driver import Engine

from streams.ops import cluster, topics
from streams.ops.settings import KafkaSettings

NewEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def new_engine(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NewEngine]:
    """`new_engine(partitions=3)`: topics under a prefix of their own and an empty model store."""
    made: list[Engine] = []

    def make(partitions: int = 3) -> Engine:
        prefix = f"e{uuid4().hex[:12]}."
        kafka = KafkaSettings(bootstrap=broker, topic_prefix=prefix, partitions=partitions, request_timeout_s=30)
        with cluster.admin_client(broker, kafka.request_timeout_s) as admin:
            topics.apply(admin, kafka)
        engine = Engine(kafka, tmp_path_factory.mktemp("engine"))
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.close()
    if made:
        admin = made[0].admin
        prefixes = tuple(engine.kafka.topic_prefix for engine in made)
        left = [name for name in admin.list_topics(timeout=10).topics if name.startswith(prefixes)]
        for future in admin.delete_topics(left).values():
            future.result(30)
