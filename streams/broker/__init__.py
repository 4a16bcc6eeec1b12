"""A real single-node Apache Kafka for development, tests and the demo, without Docker and without a system Java."""

from streams.broker.errors import BrokerDiedError, BrokerError, DependencyUnreachableError, JarError, PortTakenError
from streams.broker.server import BrokerInfo, start, status, stop

__all__ = [
    "BrokerDiedError",
    "BrokerError",
    "BrokerInfo",
    "DependencyUnreachableError",
    "JarError",
    "PortTakenError",
    "start",
    "status",
    "stop",
]
