"""What a running worker shows: one loopback port, and neither there nor in its log anything of a user."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import NamedTuple

import psutil
import pytest
from engine_driver import Engine, Sent, Worker, event, wait_for

from streams.contracts.topics import Name

pytestmark = pytest.mark.broker

USER = "planted-user-7731"
SECRETS = (
    USER,
    "planted-item-5521",
    "planted words of a search",
    "planted-agent/1.0",
    "planted-poison",
    "planted-header",
)


class Seen(NamedTuple):
    """Taken while the worker ran."""

    engine: Engine
    worker: Worker
    listening: list[tuple[str, int]]
    peers: set[tuple[str, int]]
    metrics: str
    health: dict[str, tuple[int, str]]


@pytest.fixture(scope="module")
def seen(new_engine: Callable[..., Engine]) -> Seen:
    """A worker that met good, bad and refused records full of things that are nobody's business."""
    engine = new_engine(1)
    at_ms = 1_767_600_000_000
    key = USER.encode()
    view = event("view", 1, USER, at_ms, item_id="planted-item-5521", user_agent="planted-agent/1.0")
    engine.send(
        [
            view,
            event("search", 2, USER, at_ms + 1, query="planted words of a search"),
            event("support_message", 3, USER, at_ms + 2, text="planted words of a search"),
            view,
            Sent(key, b'{"type":"planted-poison"}', [("h", b"planted-header")]),
            Sent(key, b'{"type":"view","user_id":"planted-user-7731","ts_ms":"planted-poison"}'),
            Sent(b"\xff" + key, b"planted-poison {"),
            event("erase_user", 4, USER, at_ms + 3),
        ]
    )
    engine.send([Sent(b"conversion", b'{"planted-poison": 1}')], Name.SNAPSHOTS)
    engine.send([Sent(key, b'{"planted-poison": 1}')], Name.CATALOG)
    with engine.running(log__level="debug") as debugging:
        wait_for("all is read", lambda: engine.committed().get(0, (0, ""))[0] == 8)
        assert debugging.stop() == 0
    engine.send([view._replace(key=b"other"), event("view", 5, USER, at_ms + 4, item_id="planted-item-5521")])
    with engine.running() as worker:
        wait_for("all is read", lambda: engine.committed().get(0, (0, ""))[0] == 10)
        connections = psutil.Process(worker.process.pid).net_connections("inet")
        seen = Seen(
            engine,
            worker,
            [(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN],
            {(c.raddr.ip, c.raddr.port) for c in connections if c.raddr},
            worker.get("/metrics")[1],
            {path: worker.get(path) for path in ("/live", "/ready", "/startup", "/", "/table/user-state")},
        )
        assert worker.stop() == 0
    return seen


def test_a_worker_listens_on_its_metrics_port_on_loopback_and_nowhere_else(seen: Seen) -> None:
    host, port = seen.worker.endpoint.removeprefix("http://").split(":")
    assert seen.listening == [(host, int(port))] == [("127.0.0.1", int(port))]


def test_a_worker_talks_to_kafka_and_nobody_else(seen: Seen) -> None:
    host, port = seen.engine.bootstrap.split(":")
    assert seen.peers == {(host, int(port))}


def test_faust_serves_no_pages_and_no_tables(seen: Seen) -> None:
    assert {path: status for path, (status, _) in seen.health.items()} == {
        "/live": 200,
        "/ready": 200,
        "/startup": 200,
        "/": 404,
        "/table/user-state": 404,
    }


def test_logs_metrics_and_health_carry_nothing_of_a_user_or_a_record(seen: Seen) -> None:
    debug_log = seen.engine.started[0].text
    assert len(debug_log) > 5000, "the debug level was not heard"
    shown = [seen.worker.text, seen.metrics, json.dumps(seen.health)]
    for text in shown:
        found = [secret for secret in SECRETS if secret in text]
        assert not found
    found = [secret for secret in SECRETS if secret in debug_log]
    assert not found, "not even at the debug level"


def test_metrics_count_what_was_done(seen: Seen) -> None:
    assert 'clickwake_events_rejected_total{code="key_mismatch",topic="clickstream.events.v1"} 1.0' in seen.metrics
    assert 'clickwake_outputs_emitted_total{application="conversion",degraded="true"} 1.0' in seen.metrics


def test_promtool_finds_no_fault_in_the_metrics(seen: Seen, tool: Callable[[str, str], str]) -> None:
    promtool = tool("promtool", "prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=seen.metrics, text=True, capture_output=True, timeout=30
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
