"""Names of the consumer groups."""

from __future__ import annotations

from streams.ops.settings import Settings


def group_of(settings: Settings, role: str) -> str:
    """Consumer group of a role; the prefix keeps environments on one cluster apart."""
    return f"{settings.kafka.topic_prefix}{settings.engine.app_id}-{role}"
