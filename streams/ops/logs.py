"""Structured logs on stderr: one JSON object per line, or coloured text on a terminal.

Our own lines come from structlog, those of Faust and the Kafka clients from `logging`; both end in one handler, so that
a reader of the stream sees one format. A line carries fields (topic, partition, offset, event id), never a
payload or a user: fields that could hold one are blanked, whatever the caller passed.

Get a logger with `structlog.get_logger(__name__)`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import orjson
import structlog
from structlog.types import Processor

from streams.ops.metrics import Metrics
from streams.ops.settings import LogSettings

OURS = ("streams", "models")
ENGINE_LIBRARIES = ("faust", "mode", "aiokafka")
CLIENT_LIBRARIES = ("kafka", "librdkafka", "aiohttp", "asyncio")

PRIVATE_FIELDS = frozenset(
    {"user_id", "user", "key", "value", "payload", "data", "record", "headers", "query", "text", "user_agent"}
)
"""Fields that hold, or may hold, who somebody is or what he wrote."""

_HIDDEN = "[hidden]"


def configure(
    settings: LogSettings, role: str, *, metrics: Metrics | None = None, stream: TextIO | None = None
) -> None:
    """Send every log line of this process to `stream` (default stderr); may be called again.

    Args:
        settings: level and format; `auto` is console text on a terminal, else JSON.
        role: what this process is (`score`, `learn`, `all`, `cli`), a field of every line.
        metrics: counts lines by level, where given.
        stream: for tests.

    Libraries are heard from `warning` up, unless the level is `debug`. Named loggers get the handler themselves and do
    not propagate: Faust's worker and mode replace the root logger's handlers and may set it to DEBUG.
    """
    out = sys.stderr if stream is None else stream
    as_console = settings.format == "console" or (settings.format == "auto" and out.isatty())
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    library_level = level if level <= logging.DEBUG else max(level, logging.WARNING)

    handler = LineHandler(out, metrics)
    handler.setFormatter(_formatter(role, as_console=as_console, colors=as_console and out.isatty()))
    for name in (*OURS, *ENGINE_LIBRARIES, *CLIENT_LIBRARIES):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(level if name in OURS else library_level)
    logging.root.handlers = [handler]
    logging.root.setLevel(library_level)
    logging.captureWarnings(True)

    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # a cached logger would keep the first configuration
    )


def quiet(*names: str) -> None:
    """Silence loggers whose failures the caller reports himself, in one clear sentence."""
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def hide_private(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank private fields and raw bytes, at any depth of plain dicts and lists."""
    for name in event:
        event[name] = _HIDDEN if name in PRIVATE_FIELDS else _without_private(event[name])
    return event


def _without_private(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"[{len(value)} bytes]"
    if isinstance(value, dict):
        return {k: _HIDDEN if k in PRIVATE_FIELDS else _without_private(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_private(v) for v in value]
    return value


_SHARED: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def _formatter(role: str, *, as_console: bool, colors: bool) -> structlog.stdlib.ProcessorFormatter:
    def in_order(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """What every line has comes first, for the eye that reads raw JSON."""
        first = {name: event.pop(name) for name in ("timestamp", "level", "event", "logger") if name in event}
        return {**first, "role": role, **{name: value for name, value in event.items() if name != "role"}}

    last: list[Processor]
    if as_console:
        # The pretty traceback prints local variables, which are payloads.
        last = [
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback),
        ]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, in_order, hide_private, *last],
    )


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY).decode()


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes a line and counts it."""

    def __init__(self, stream: TextIO, metrics: Metrics | None) -> None:
        super().__init__(stream)
        self._metrics = metrics

    def emit(self, record: logging.LogRecord) -> None:
        if self._metrics is not None:
            self._metrics.log_messages.labels(record.levelname.lower()).inc()
        super().emit(record)
