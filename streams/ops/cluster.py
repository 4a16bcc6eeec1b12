"""The Kafka cluster as the tools see it: is it there, and an admin client for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streams.ops.settings import SettingsError

if TYPE_CHECKING:
    from kafka.admin import KafkaAdminClient

CONNECT_TIMEOUT_S = 5.0
_DEFAULT_PORT = 9092
_SET_IT = "Set CLICKWAKE_KAFKA__BOOTSTRAP=host:port"


class KafkaUnreachableError(Exception):
    """No broker answers at the address."""


class KafkaRefusedError(Exception):
    """The cluster answers and says no; the message has its reason and the repair."""


def addresses(bootstrap: str) -> list[tuple[str, int]]:
    """`host:port,[::1]:9092,host` as pairs.

    Raises:
        SettingsError: it is empty, or a port is no number from 1 to 65535.
    """
    pairs = []
    for entry in filter(None, (part.strip() for part in bootstrap.split(","))):
        host, colon, port = entry.rpartition(":")
        if not colon or port.endswith("]"):
            host, port = entry, str(_DEFAULT_PORT)
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536 and host):
            raise SettingsError(f"kafka.bootstrap: {entry!r} is not host:port. {_SET_IT}")
        pairs.append((host.strip("[]"), int(port)))
    if not pairs:
        raise SettingsError(f"kafka.bootstrap is empty. {_SET_IT}")
    return pairs


def require_reachable(bootstrap: str, timeout_s: float = CONNECT_TIMEOUT_S) -> None:
    """Connect to one of the brokers. The Kafka clients themselves retry a refused connection until they time out.

    Raises:
        KafkaUnreachableError: none accepts a connection.
        SettingsError: the address is malformed.
    """
    faults = []
    for host, port in addresses(bootstrap):
        try:
            with socket.create_connection((host, port), timeout=timeout_s):
                return
        except OSError as error:
            faults.append(f"{host}:{port}: {error.strerror or error}")
    raise KafkaUnreachableError(
        f"no Kafka broker answers ({'; '.join(faults)}). Start the local one with `clickwake broker start`, or set "
        "CLICKWAKE_KAFKA__BOOTSTRAP to a running cluster."
    )


@contextmanager
def admin_client(bootstrap: str, timeout_s: float) -> Iterator[KafkaAdminClient]:
    """A kafka-python admin client, closed at the end.

    Raises:
        KafkaUnreachableError: no broker accepts a connection, or what does gives no metadata within `timeout_s`.
    """
    require_reachable(bootstrap, min(timeout_s, CONNECT_TIMEOUT_S))
    from kafka.admin import KafkaAdminClient  # half a second to import: only when needed
    from kafka.errors import KafkaConnectionError, KafkaTimeoutError

    timeout_ms = int(timeout_s * 1000)
    try:
        client = KafkaAdminClient(
            bootstrap_servers=[f"{host}:{port}" for host, port in addresses(bootstrap)],
            client_id="clickwake-admin",
            request_timeout_ms=timeout_ms,
            bootstrap_timeout_ms=timeout_ms,
        )
    except (KafkaTimeoutError, KafkaConnectionError) as error:
        raise KafkaUnreachableError(f"{bootstrap} accepts connections but gave no Kafka metadata: {error}") from None
    try:
        yield client
    except (KafkaTimeoutError, KafkaConnectionError) as error:
        raise KafkaUnreachableError(f"Kafka at {bootstrap} stopped answering: {error}") from None
    finally:
        client.close()
