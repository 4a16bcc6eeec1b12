"""What most commands begin with: settings, quiet logs, the broker's address; and how they print."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from streams.ops.settings import Settings


def load(**overrides: dict[str, Any]) -> Settings:
    """Settings of a short command. Kafka clients are silenced: the command tells of failures itself, once.

    Raises:
        SettingsError: a value is malformed.
    """
    from streams.ops import logs
    from streams.ops.settings import load as load_settings

    settings = load_settings(**overrides)
    logs.configure(settings.log, "cli")
    if settings.log.level != "debug":
        logs.quiet(*logs.CLIENT_LIBRARIES)
    return settings


def bootstrap_of(settings: Settings) -> str:
    """Address of the cluster that is set, else of the local broker that runs.

    Raises:
        KafkaUnreachableError: neither is there.
    """
    if settings.kafka.bootstrap is not None:
        return settings.kafka.bootstrap
    from streams import broker
    from streams.ops.cluster import KafkaUnreachableError

    info = broker.status(settings.broker)
    if info is None:
        raise KafkaUnreachableError(
            "no Kafka is set and no local broker runs. Start one with `clickwake broker start`, or set "
            "CLICKWAKE_KAFKA__BOOTSTRAP=host:port."
        )
    return info.bootstrap


def with_bootstrap(settings: Settings) -> Settings:
    """The same settings with the address filled in. Raises like `bootstrap_of`."""
    kafka = settings.kafka.model_copy(update={"bootstrap": bootstrap_of(settings)})
    return settings.model_copy(update={"kafka": kafka})


def stdout() -> Console:
    """For data. Honours NO_COLOR; plain text where it isn't a terminal."""
    from rich.console import Console

    return Console(file=sys.stdout, soft_wrap=not sys.stdout.isatty(), highlight=False)


def stderr() -> Console:
    """For narration."""
    from rich.console import Console

    return Console(file=sys.stderr, highlight=False, soft_wrap=not sys.stderr.isatty())


def print_json(value: Any) -> None:
    """One line of JSON on stdout."""
    import orjson

    sys.stdout.write(orjson.dumps(value).decode() + "\n")
