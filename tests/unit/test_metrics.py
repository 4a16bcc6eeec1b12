"""Metrics: the frozen set of names, its hygiene, and the batch histogram."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from streams.contracts.rejected import RejectCode
from streams.contracts.topics import Name
from streams.ops.histogram import BatchHistogram
from streams.ops.metrics import Application, Metrics, Stage

FROZEN = {
    "clickwake_build_info",
    "clickwake_consumer_lag_records",
    "clickwake_event_to_emit_seconds",
    "clickwake_events_consumed_total",
    "clickwake_events_duplicate_total",
    "clickwake_events_late_total",
    "clickwake_events_rejected_total",
    "clickwake_events_replayed_total",
    "clickwake_last_event_timestamp_seconds",
    "clickwake_log_messages_total",
    "clickwake_model_calibration_ratio",
    "clickwake_model_examples_total",
    "clickwake_model_info",
    "clickwake_model_log_loss",
    "clickwake_outputs_emitted_total",
    "clickwake_processing_seconds",
    "clickwake_recovery_seconds",
    "clickwake_snapshot_refused_total",
    "clickwake_state_bytes",
    "clickwake_state_users",
}
"""Dashboards and alerts name these. A new one is added here; a renamed one breaks somebody."""


def _filled() -> Metrics:
    metrics = Metrics()
    for name in (Name.EVENTS, Name.CATALOG, Name.EXAMPLES):
        topic = metrics.topic(name)
        topic.consumed.inc(3)
        topic.rejected(RejectCode.NOT_JSON).inc()
        topic.last_event.set(1_767_571_200.5)
        topic.lag.set(7)
    for application in Application:
        metrics.output(application).emitted(2, degraded=True)
        metrics.output(application).delay.observe_many([0.01, 2.0, 1000.0])
    for stage in Stage:
        metrics.stage(stage).observe(0.002)
    metrics.use_model("conversion", "v1", "abc")
    for family in (metrics.model_log_loss, metrics.model_calibration):
        family.labels("conversion").set(0.5)
    for counter in (metrics.model_examples, metrics.snapshot_refused):
        counter.labels("conversion").inc()
    metrics.recovery.observe(1.5)
    metrics.use_build("0.1.0")
    metrics.log_messages.labels("info").inc()
    return metrics


def test_the_set_of_metric_names_is_frozen() -> None:
    names = {family.name + ("_total" if family.type == "counter" else "") for family in _filled().registry.collect()}
    assert names == FROZEN


def test_every_metric_has_a_help_text_that_is_a_sentence() -> None:
    for family in _filled().registry.collect():
        assert family.documentation.endswith("."), family.name
        assert len(family.documentation) > 15, family.name


def test_labels_are_the_declared_ones_and_bounded() -> None:
    allowed = {
        "topic": {name.value for name in Name},
        "code": {code.value for code in RejectCode},
        "application": {application.value for application in Application},
        "degraded": {"true", "false"},
        "stage": {stage.value for stage in Stage},
        "model": {"conversion"},
        "name": {"conversion"},
        "version": {"v1", "0.1.0"},
        "feature_schema": {"abc"},
        "level": {"info"},
    }
    for family in _filled().registry.collect():
        for sample in family.samples:
            for label, value in sample.labels.items():
                assert label == "le" or value in allowed[label], (family.name, label, value)


def test_the_freshness_objective_of_two_seconds_is_a_bucket_bound() -> None:
    metrics = Metrics()
    metrics.output(Application.CONVERSION).delay.observe_many([1.9, 2.0, 2.1])
    assert (
        metrics.registry.get_sample_value(
            "clickwake_event_to_emit_seconds_bucket", {"application": "conversion", "le": "2.0"}
        )
        == 2.0
    )


def test_a_model_has_one_info_series_whatever_versions_came_before() -> None:
    metrics = Metrics()
    for version in ("v1", "v2", "v2", "v3"):
        metrics.use_model("conversion", version, "abc")
    metrics.use_model("retrieval", "v9", "")
    series = [sample.labels for sample in next(iter(metrics.model_info.collect())).samples]
    assert sorted((labels["name"], labels["version"]) for labels in series) == [
        ("conversion", "v3"),
        ("retrieval", "v9"),
    ]


def test_two_workers_in_one_process_have_their_own_numbers() -> None:
    one, other = Metrics(), Metrics()
    one.topic(Name.EVENTS).consumed.inc()
    labels = {"topic": Name.EVENTS.value}
    assert one.registry.get_sample_value("clickwake_events_consumed_total", labels) == 1
    assert other.registry.get_sample_value("clickwake_events_consumed_total", labels) == 0


def test_promtool_finds_nothing_to_complain_about(tool: Callable[[str, str], str]) -> None:
    done = subprocess.run(
        [tool("promtool", "prometheus"), "check", "metrics"],
        input=generate_latest(_filled().registry),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()


@given(st.lists(st.lists(st.one_of(st.floats(0, 1000), st.sampled_from([0.1, 0.5, 2.0])), max_size=20), max_size=5))
def test_a_batch_histogram_says_what_the_client_librarys_own_says(batches: list[list[float]]) -> None:
    bounds = (0.1, 0.5, 2.0, 300.0)
    ours_registry, theirs_registry = CollectorRegistry(), CollectorRegistry()
    ours = BatchHistogram("delay_seconds", "Delay.", ("app",), bounds, ours_registry).labels("a")
    theirs = Histogram("delay_seconds", "Delay.", ("app",), buckets=bounds, registry=theirs_registry).labels("a")
    for batch in batches:
        ours.observe_many(np.array(batch))
        for value in batch:
            ours.observe(value)
            theirs.observe(value)
            theirs.observe(value)

    def read(registry: CollectorRegistry) -> dict[tuple[str, str], float]:
        return {
            (sample.name, sample.labels.get("le", "")): sample.value
            for family in registry.collect()
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    assert read(ours_registry) == pytest.approx(read(theirs_registry))


def test_observations_of_several_threads_are_all_counted() -> None:
    series = BatchHistogram("x_seconds", "X.", (), (1.0,), CollectorRegistry()).labels()
    threads = [threading.Thread(target=lambda: [series.observe_many([0.5, 1.5]) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert series.read() == ([2000, 4000], 4000.0)


def test_a_histogram_refuses_bounds_that_do_not_rise_and_labels_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="must rise"):
        BatchHistogram("x_seconds", "X.", (), (1.0, 0.5), CollectorRegistry())
    with pytest.raises(ValueError, match="has the labels"):
        BatchHistogram("y_seconds", "Y.", ("app",), (1.0,), CollectorRegistry()).labels()
