"""Health: what the endpoints say, from another thread, and that nothing stays behind."""

from __future__ import annotations

import json
import socket
import threading
import urllib.error
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.contracts.topics import Name
from streams.ops.health import Condition, Health, HealthServer
from streams.ops.metrics import Metrics
from streams.ops.settings import MetricsSettings, SettingsError


class _Time:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _get(port: int, path: str) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def _hold_all(health: Health) -> None:
    for condition in Condition:
        health.set(condition, True)


def test_a_worker_is_ready_only_when_every_condition_holds() -> None:
    health = Health()
    assert set(health.ready().reasons) == {"assigned", "recovered", "model_loaded"}
    for condition in (Condition.ASSIGNED, Condition.RECOVERED, Condition.MODEL_LOADED):
        assert not health.ready().ok
        health.set(condition, True)
    assert health.ready().ok
    health.set(Condition.NOT_DRAINING, False, "stopping")
    assert health.ready().reasons == {"not_draining": "stopping"}


def test_a_loop_that_stands_still_too_long_is_not_live() -> None:
    now = _Time()
    health = Health(live_within_s=10, monotonic=now)
    assert health.live().ok, "a process that starts isn't dead"
    health.tick()
    now.now_s += 10
    assert health.live().ok
    now.now_s += 0.1
    assert health.live().reasons == {"event_loop": "last turn 10.1 s ago, allowed are 10 s"}
    health.tick()
    assert health.live().ok


def test_started_means_recovered_even_while_not_ready() -> None:
    health = Health()
    assert not health.startup().ok
    health.set(Condition.RECOVERED, True)
    assert health.startup().ok
    assert not health.ready().ok


def test_a_probe_is_asked_at_each_look() -> None:
    answers: list[str | None] = ["the model is an hour old", None]
    health = Health((Condition.MODEL_LOADED,))
    health.probe(Condition.MODEL_LOADED, lambda: answers.pop(0))
    assert health.ready().reasons == {"model_loaded": "the model is an hour old"}
    assert health.ready().ok


def test_a_condition_the_worker_does_not_have_is_a_mistake_in_the_program() -> None:
    health = Health((Condition.MODEL_LOADED,))
    with pytest.raises(KeyError, match="assigned"):
        health.set(Condition.ASSIGNED, True)
    with pytest.raises(KeyError, match="assigned"):
        health.probe(Condition.ASSIGNED, lambda: None)


def test_the_server_answers_with_the_status_and_its_reasons() -> None:
    health, metrics = Health(), Metrics()
    with HealthServer(MetricsSettings(), metrics.registry, health) as server:
        status, body = _get(server.port, "/ready")
        assert status == 503
        assert json.loads(body)["reasons"]["assigned"] == "not yet"
        _hold_all(health)
        for path in ("/ready", "/live", "/startup", "/ready?verbose"):
            status, body = _get(server.port, path)
            assert (status, json.loads(body)) == (200, {"ok": True, "reasons": {}})
        assert _get(server.port, "/nowhere")[0] == 404


def test_the_server_serves_metrics_that_prometheus_can_parse() -> None:
    metrics = Metrics()
    metrics.topic(Name.EVENTS).consumed.inc(5)
    with HealthServer(MetricsSettings(), metrics.registry, Health()) as server:
        status, body = _get(server.port, "/metrics")
    assert status == 200
    samples = {
        (sample.name, sample.labels.get("topic")): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples["clickwake_events_consumed_total", Name.EVENTS.value] == 5


def test_a_client_that_sends_nothing_does_not_keep_others_waiting() -> None:
    with (
        HealthServer(MetricsSettings(), Metrics().registry, Health()) as server,
        socket.create_connection(("127.0.0.1", server.port)),
    ):
        assert _get(server.port, "/live")[0] == 200


def test_stopping_ends_the_thread_and_frees_the_port_and_may_be_repeated() -> None:
    server = HealthServer(MetricsSettings(), Metrics().registry, Health())
    server.start()
    port = server.port
    server.stop()
    server.stop()
    assert "health" not in {thread.name for thread in threading.enumerate()}
    again = HealthServer(MetricsSettings(port=port), Metrics().registry, Health())
    again.stop()


def test_the_server_listens_on_loopback_unless_told_otherwise() -> None:
    server = HealthServer(MetricsSettings(), Metrics().registry, Health())
    try:
        assert server.bind == "127.0.0.1"
    finally:
        server.stop()


def test_a_taken_port_is_an_error_at_once_that_names_the_setting() -> None:
    with (
        HealthServer(MetricsSettings(), Metrics().registry, Health()) as server,
        pytest.raises(SettingsError, match=r"in use\. Set CLICKWAKE_METRICS__BIND and CLICKWAKE_METRICS__PORT"),
    ):
        HealthServer(MetricsSettings(port=server.port), Metrics().registry, Health())
