"""Settings: one frozen tree, read from the environment (`CLICKWAKE_KAFKA__BOOTSTRAP=...`) and mounted secrets.

Sections nest with two underscores. Command line options are passed as overrides and win over the environment.
`describe` lists every effective value with secrets hidden, for `clickwake doctor`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ENV_PREFIX = "CLICKWAKE_"


class SettingsError(Exception):
    """A setting is wrong; the message names the variable, the value's fault and the repair."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(_Section):
    """Where Kafka is and how topics are made."""

    bootstrap: str | None = Field(None, description="host:port of an existing cluster; unset: the local broker")
    topic_prefix: str = Field("", pattern=r"^[a-zA-Z0-9._-]{0,64}$", description="put before each topic's name")
    partitions: int = Field(4, ge=1, le=1024, description="partitions of the event topic and all that follow it")
    replication_factor: int = Field(1, ge=1, le=9)
    request_timeout_s: float = Field(30.0, gt=0)


class BrokerSettings(_Section):
    """The local broker of `clickwake broker`, for development, tests and the demo."""

    data_dir: Path = Path(".clickwake/broker")
    cache_dir: Path = Path("~/.cache/clickwake")
    port: int = Field(9092, ge=0, le=65535, description="0 picks a free one")
    heap_mb: int = Field(512, ge=128)


class EngineSettings(_Section):
    """The worker."""

    app_id: str = Field("clickwake", pattern=r"^[a-zA-Z0-9._-]{1,100}$")
    epoch: int = Field(1, ge=1, description="raise by one when the event topic is recreated or repartitioned")
    tick_idle_s: float = Field(30.0, ge=0, description="an idle partition's clock is moved on this often; 0: never")
    delivery_timeout_s: float = Field(20.0, gt=0, description="must stay below the session timeout")
    session_timeout_s: float = Field(30.0, gt=0)
    commit_interval_s: float = Field(0.5, gt=0)
    batch_max_records: int = Field(500, ge=1)

    @field_validator("session_timeout_s")
    @classmethod
    def _longer_than_delivery(cls, value: float, info: Any) -> float:
        delivery_s = info.data.get("delivery_timeout_s")
        if delivery_s is not None and value <= delivery_s:
            raise ValueError(f"must be longer than engine.delivery_timeout_s ({delivery_s} s)")
        return value


class ModelSettings(_Section):
    """Model store and learner."""

    store: Path = Field(Path(".clickwake/models"), description="folder of model snapshots, shared by all workers")
    conversion_every_s: float = Field(3.0, gt=0, description="pause between snapshots of the conversion model")
    retrieval_every_s: float = Field(30.0, gt=0, description="pause between snapshots of the retrieval index")
    keep_versions: int = Field(10, ge=2)


class MetricsSettings(_Section):
    """Prometheus and health endpoints."""

    bind: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535, description="0 picks a free one and logs it")


class LogSettings(_Section):
    """Structured logs on stderr."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(BaseSettings):
    """All of it."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", case_sensitive=False
    )

    kafka: KafkaSettings = KafkaSettings()
    broker: BrokerSettings = BrokerSettings()
    engine: EngineSettings = EngineSettings()
    model: ModelSettings = ModelSettings()
    metrics: MetricsSettings = MetricsSettings()
    log: LogSettings = LogSettings()


def load(**overrides: dict[str, Any]) -> Settings:
    """Read the settings; `load(kafka={"partitions": 2})` overrides single values.

    Raises:
        SettingsError: a value is missing, malformed or out of range.
    """
    try:
        return Settings(**{k: v for k, v in overrides.items() if v})  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None


def _explain(error: ValidationError) -> str:
    lines = []
    for fault in error.errors():
        place = [str(part) for part in fault["loc"]]
        variable = ENV_PREFIX + "__".join(place).upper()
        lines.append(f"setting {'.'.join(place)}: {fault['msg']}. Set it with {variable}=...")
    return "\n".join(lines)


def describe(settings: Settings) -> dict[str, str]:
    """Effective values as `section.name -> text`, secrets replaced by `**********`."""
    rows: dict[str, str] = {}
    for section_name in type(settings).model_fields:
        section = getattr(settings, section_name)
        for name in type(section).model_fields:
            value = getattr(section, name)
            rows[f"{section_name}.{name}"] = "**********" if isinstance(value, SecretStr) else str(value)
    return rows


def as_environment(settings: Settings) -> dict[str, str]:
    """The variables that make another process read these very settings, secrets included."""
    variables: dict[str, str] = {}
    for section_name in type(settings).model_fields:
        section = getattr(settings, section_name)
        for name in type(section).model_fields:
            value = getattr(section, name)
            if value is not None:
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                variables[f"{ENV_PREFIX}{section_name}__{name}".upper()] = text
    return variables
