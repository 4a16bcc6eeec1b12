"""Which errors are a user's to mend, and the exit code of each."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the shell sees."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3
    INTERRUPTED = 130


def explain(error: Exception) -> tuple[ExitCode, str] | None:
    """Exit code and message of an error that isn't a fault of the program; none for all others."""
    # Imported here: these cost more than all of `--help`.
    from streams.broker import BrokerError, DependencyUnreachableError
    from streams.ops.cluster import KafkaRefusedError, KafkaUnreachableError
    from streams.ops.settings import SettingsError
    from streams.replay.produce import ProduceError
    from streams.replay.sources import SourceError
    from streams.replay.watch import WatchError

    codes: tuple[tuple[tuple[type[Exception], ...], ExitCode], ...] = (
        ((KafkaUnreachableError, DependencyUnreachableError), ExitCode.UNREACHABLE),
        ((SettingsError,), ExitCode.USAGE),
        ((BrokerError, KafkaRefusedError, ProduceError, SourceError, WatchError), ExitCode.FAILED),
    )
    for classes, code in codes:
        if isinstance(error, classes):
            return code, str(error)
    return None
