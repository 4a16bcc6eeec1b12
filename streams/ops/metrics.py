"""Every metric there is, declared once. Counters are per process and count attempts (a replayed event counts again);
the books that must balance are kept in the user state, not here.

Labels are bounded by us: topics by their logical name, codes and stages by enums. No user, item, partition or version
history is ever a label.
"""

from __future__ import annotations

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.contracts.rejected import RejectCode
from streams.contracts.topics import Name
from streams.ops.histogram import BatchHistogram, BatchSeries

PREFIX = "clickwake"
DELAY_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)  # the objective, 2 s, is a bound
STAGE_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
RECOVERY_BUCKETS_S = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)


class Application(StrEnum):
    """What outputs are for; the label `application`."""

    CONVERSION = "conversion"
    RECOMMENDATION = "recommendation"


class Stage(StrEnum):
    """A step of a batch; the label `stage`."""

    DECODE = "decode"
    FOLD = "fold"
    VIEW = "view"
    SCORE = "score"
    EMIT = "emit"
    STATE = "state"


class TopicMetrics:
    """The series of one input topic, bound once: a lookup by labels costs as much as the increment."""

    __slots__ = ("_rejected", "consumed", "duplicate", "lag", "last_event", "late", "replayed")

    def __init__(self, metrics: Metrics, topic: Name) -> None:
        self.consumed = metrics.events_consumed.labels(topic.value)
        self.replayed = metrics.events_replayed.labels(topic.value)
        self.duplicate = metrics.events_duplicate.labels(topic.value)
        self.late = metrics.events_late.labels(topic.value)
        self.last_event = metrics.last_event_timestamp.labels(topic.value)
        self.lag = metrics.consumer_lag.labels(topic.value)
        self._rejected = {code: metrics.events_rejected.labels(topic.value, code.value) for code in RejectCode}

    def rejected(self, code: RejectCode) -> Counter:
        return self._rejected[code]


class OutputMetrics:
    """The series of one application. `delay.observe_many` takes the seconds of a whole batch."""

    __slots__ = ("_degraded", "_full", "delay")

    def __init__(self, metrics: Metrics, application: Application) -> None:
        self._full = metrics.outputs_emitted.labels(application.value, "false")
        self._degraded = metrics.outputs_emitted.labels(application.value, "true")
        self.delay: BatchSeries = metrics.event_to_emit.labels(application.value)

    def emitted(self, count: int, *, degraded: bool) -> None:
        (self._degraded if degraded else self._full).inc(count)


class Metrics:
    """All metrics, in a registry of their own so that tests and several workers in one process don't collide."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = CollectorRegistry() if registry is None else registry

        def counter(name: str, help_text: str, *labels: str) -> Counter:
            return Counter(name, help_text, labels, namespace=PREFIX, registry=registry)

        def gauge(name: str, help_text: str, *labels: str) -> Gauge:
            return Gauge(name, help_text, labels, namespace=PREFIX, registry=registry)

        self.events_consumed = counter("events_consumed", "Input records read, attempts included.", "topic")
        self.events_rejected = counter("events_rejected", "Input records refused, by reason.", "topic", "code")
        self.events_replayed = counter("events_replayed", "Records read again that were already applied.", "topic")
        self.events_duplicate = counter("events_duplicate", "Events dropped because their id was seen.", "topic")
        self.events_late = counter("events_late", "Events that came too late for a purpose.", "topic")
        self.outputs_emitted = counter(
            "outputs_emitted", "Outputs acknowledged by Kafka; degraded ones lacked their model.",
            "application", "degraded",
        )  # fmt: skip
        self.event_to_emit = BatchHistogram(
            f"{PREFIX}_event_to_emit_seconds", "Time from an event's arrival to the acknowledgement of its output.",
            ("application",), DELAY_BUCKETS_S, registry,
        )  # fmt: skip
        self.processing = BatchHistogram(
            f"{PREFIX}_processing_seconds", "Time spent on a batch, by stage.", ("stage",), STAGE_BUCKETS_S, registry
        )
        self.last_event_timestamp = gauge(
            "last_event_timestamp_seconds", "Event time of the newest event, as a Unix time.", "topic"
        )
        self.consumer_lag = gauge("consumer_lag_records", "Records that wait to be read.", "topic")
        self.state_users = gauge("state_users", "Users with state in this process.")
        self.state_bytes = gauge("state_bytes", "Encoded size of the user state in this process.")
        self.model_info = gauge("model_info", "Always 1; the model in use.", "name", "version", "feature_schema")
        self.model_examples = counter("model_examples", "Training examples learnt from.", "model")
        self.model_log_loss = gauge("model_log_loss", "Progressive log loss on labels as they arrive.", "model")
        self.model_calibration = gauge(
            "model_calibration_ratio", "Predicted divided by observed conversions; 1 is calibrated.", "model"
        )
        self.snapshot_refused = counter("snapshot_refused", "Model snapshots found broken and not used.", "model")
        self.recovery = Histogram(
            "recovery_seconds", "Time from start to the first new event.",
            buckets=RECOVERY_BUCKETS_S, namespace=PREFIX, registry=registry,
        )  # fmt: skip
        self.build_info = gauge("build_info", "Always 1; the running version.", "version")
        self.log_messages = counter("log_messages", "Log lines written.", "level")

        self._topics = {name: TopicMetrics(self, name) for name in (Name.EVENTS, Name.CATALOG, Name.EXAMPLES)}
        self._outputs = {application: OutputMetrics(self, application) for application in Application}
        self._stages = {stage: self.processing.labels(stage.value) for stage in Stage}
        self._models: dict[str, tuple[str, str, str]] = {}

    def topic(self, name: Name) -> TopicMetrics:
        """Series of an input topic: events, catalogue or examples."""
        return self._topics[name]

    def output(self, application: Application) -> OutputMetrics:
        return self._outputs[application]

    def stage(self, stage: Stage) -> BatchSeries:
        return self._stages[stage]

    def use_model(self, name: str, version: str, feature_schema: str) -> None:
        """Say which version is in use now; the series of the one before goes away."""
        labels = (name, version, feature_schema)
        before = self._models.get(name)
        if before == labels:
            return
        if before is not None:
            self.model_info.remove(*before)
        self._models[name] = labels
        self.model_info.labels(*labels).set(1)

    def use_build(self, version: str) -> None:
        self.build_info.labels(version).set(1)
