"""CloudEvents 1.0 headers in binary mode: attributes travel beside the value, which stays plain JSON.

Source: CloudEvents Kafka protocol binding 1.0.2, section 3.2. A consumer that ignores headers loses nothing.
`ce_time` is event time; `ce_recordedtime` (extension) is left to the record's own timestamp.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

Headers = Sequence[tuple[str, bytes]]

_SPEC = ("ce_specversion", b"1.0")
_JSON = ("content-type", b"application/json")
TRACEPARENT = "traceparent"
MAX_TRACEPARENT_BYTES = 256
"""W3C's has 55; what is longer is none, and would be copied into every output."""
ATTEMPT = "clickwake_attempt"
"""Set by a replay of dead letters: how often the record was tried before."""


class HeaderTemplate:
    """Builds the headers of one kind of output; what never changes is encoded once."""

    __slots__ = ("_source", "_type")

    def __init__(self, record_type: str, source: str) -> None:
        """`record_type`: reverse-free dotted name such as `clickwake.conversion.v1`; `source`: a URI reference."""
        self._type = ("ce_type", record_type.encode())
        self._source = ("ce_source", source.encode())

    def build(self, record_id: str, time_ms: int, traceparent: bytes | None = None) -> list[tuple[str, bytes]]:
        """Headers of one record; `traceparent` of the cause is passed through."""
        headers = [
            _SPEC,
            ("ce_id", record_id.encode()),
            self._source,
            self._type,
            ("ce_time", rfc3339(time_ms)),
            _JSON,
        ]
        if traceparent is not None:
            headers.append((TRACEPARENT, traceparent))
        return headers


_MS_AND_ZONE = tuple(f".{ms:03d}Z".encode() for ms in range(1000))


def rfc3339(time_ms: int) -> bytes:
    """`2026-01-05T00:00:00.123Z`."""
    return _to_the_second(time_ms // 1000) + _MS_AND_ZONE[time_ms % 1000]


@lru_cache(maxsize=4096)
def _to_the_second(seconds: int) -> bytes:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}".encode()
