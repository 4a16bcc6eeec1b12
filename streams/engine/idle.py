"""When is all input processed and committed? When every committed offset equals its log's end and stays so."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import monotonic

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

_LOOK_EVERY_S = 0.25


async def wait_until_idle(bootstrap: str, groups: Mapping[str, str], partitions: int, for_s: float) -> None:
    """Return when each group (by name, with its topic) has been at the end of its topic for `for_s` seconds at a
    stretch.

    A topic without any record counts as processed.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    ends = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None)
    await admin.start()
    await ends.start()
    try:
        idle_since_s: float | None = None
        before: list[dict[TopicPartition, int]] = []
        while True:
            now: list[dict[TopicPartition, int]] = []
            at_end = True
            for group, topic in groups.items():
                log_ends = await ends.end_offsets([TopicPartition(topic, p) for p in range(partitions)])
                committed = await admin.list_consumer_group_offsets(group)
                now.append(log_ends)
                at_end = at_end and all(
                    end == 0 or ((offset := committed.get(tp)) is not None and offset.offset >= end)
                    for tp, end in log_ends.items()
                )
            if not at_end or now != before:
                idle_since_s, before = (monotonic() if at_end else None), now
            elif idle_since_s is not None and monotonic() - idle_since_s >= for_s:
                return
            elif idle_since_s is None:
                idle_since_s = monotonic()
            await asyncio.sleep(_LOOK_EVERY_S)
    finally:
        await ends.stop()
        await admin.close()
