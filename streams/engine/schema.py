"""Stream items stay what the consumer made them: batches of raw records. Decoding belongs to the fold, where a bad
record is a value and not an exception. Replaces `Schema.compile` (faust/serializers/schemas.py:164), an extension
point.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from faust import Schema


class BatchSchema(Schema):
    """Wraps a message into an event without looking at it."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create_event(None, message.value, message.headers, message)

        return decode
