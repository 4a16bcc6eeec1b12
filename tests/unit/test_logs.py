"""Logs: one format, fields without people in them, and libraries that keep their voice down."""

from __future__ import annotations

import io
import json
import logging
from typing import Any

import pytest
import structlog

from streams.ops import logs
from streams.ops.metrics import Metrics
from streams.ops.settings import LogSettings


def _configured(level: str = "info", format_: str = "json", metrics: Metrics | None = None) -> io.StringIO:
    stream = io.StringIO()
    settings = LogSettings.model_validate({"level": level, "format": format_})
    logs.configure(settings, "score", metrics=metrics, stream=stream)
    return stream


def _lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_one_json_object_with_its_fields() -> None:
    stream = _configured()
    structlog.get_logger("streams.engine").info("batch committed", topic="events", partition=3, offset=41)
    (line,) = _lines(stream)
    assert list(line)[:5] == ["timestamp", "level", "event", "logger", "role"]
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "batch committed",
        "logger": "streams.engine",
        "level": "info",
        "role": "score",
        "topic": "events",
        "partition": 3,
        "offset": 41,
    }


def test_lines_of_libraries_have_the_same_form() -> None:
    stream = _configured()
    logging.getLogger("aiokafka.consumer").warning("Heartbeat failed for %s", "group-1")
    (line,) = _lines(stream)
    assert line["event"] == "Heartbeat failed for group-1"
    assert (line["logger"], line["level"], line["role"]) == ("aiokafka.consumer", "warning", "score")


@pytest.mark.parametrize("field", sorted(logs.PRIVATE_FIELDS))
def test_fields_that_may_name_a_person_are_blanked(field: str) -> None:
    stream = _configured()
    structlog.get_logger("streams.x").info("seen", **{field: "alice@example.com", "nested": {field: "alice"}})
    assert "alice" not in stream.getvalue()
    assert _lines(stream)[0][field] == "[hidden]"


def test_raw_bytes_are_never_written() -> None:
    stream = _configured()
    structlog.get_logger("streams.x").info("seen", raw=b"alice", many=[b"alice", ("bob", b"alice")])
    assert "alice" not in stream.getvalue()
    assert _lines(stream)[0]["raw"] == "[5 bytes]"


@pytest.mark.parametrize("format_", ["json", "console"])
def test_a_traceback_has_no_local_variables(format_: str) -> None:
    stream = _configured(format_=format_)

    def fails(payload: str) -> None:
        hidden_local = payload.upper()
        raise RuntimeError(f"broken at {len(hidden_local)}")

    try:
        fails("secret-" + "payload")
    except RuntimeError:
        structlog.get_logger("streams.x").exception("failed")
    text = stream.getvalue()
    assert "broken at 14" in text
    assert "SECRET-PAYLOAD" not in text
    assert "secret-payload" not in text


def test_libraries_speak_from_warning_up_and_at_debug_they_say_all() -> None:
    for level, heard in (("info", False), ("error", False), ("debug", True)):
        stream = _configured(level)
        logging.getLogger("faust.app").info("assigned")
        logging.getLogger("kafka.conn").debug("connected")
        assert bool(stream.getvalue()) is heard, level


def test_what_faust_does_to_the_root_logger_changes_nothing() -> None:
    from mode.utils.logging import setup_logging

    stream, elsewhere = _configured(), io.StringIO()
    setup_logging(loglevel="DEBUG", logfile=elsewhere)
    try:
        assert logging.root.level == logging.DEBUG, "the trap this test is about is gone"
        structlog.get_logger("streams.engine").info("ours")
        logging.getLogger("aiokafka").debug("theirs")
        logging.getLogger("mode.worker").info("theirs")
    finally:
        logging.root.handlers.clear()
    assert [line["event"] for line in _lines(stream)] == ["ours"]
    assert elsewhere.getvalue() == ""


def test_configuring_again_replaces_and_does_not_double() -> None:
    _configured()
    stream = _configured("warning")
    logger = structlog.get_logger("streams.x")
    logger.info("not heard")
    logger.warning("heard")
    assert [line["event"] for line in _lines(stream)] == ["heard"]


def test_without_a_terminal_auto_means_json_and_console_text_has_no_colours() -> None:
    stream = _configured(format_="auto")
    structlog.get_logger("streams.x").info("hello")
    assert _lines(stream)[0]["event"] == "hello"
    stream = _configured(format_="console")
    structlog.get_logger("streams.x").info("hello", offset=3)
    assert "hello" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_lines_are_counted_by_level() -> None:
    metrics = Metrics()
    _configured(metrics=metrics)
    logger = structlog.get_logger("streams.x")
    logger.info("one")
    logger.info("two")
    logger.error("three")
    logger.debug("not written")

    def count(level: str) -> float | None:
        return metrics.registry.get_sample_value("clickwake_log_messages_total", {"level": level})

    assert (count("info"), count("error"), count("debug")) == (2, 1, None)


def test_quiet_silences_a_client_whose_failure_is_reported_otherwise() -> None:
    stream = _configured()
    logs.quiet("kafka")
    logging.getLogger("kafka").error("connection refused")
    assert stream.getvalue() == ""
