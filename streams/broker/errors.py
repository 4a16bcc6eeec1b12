"""What can go wrong with the local broker. Every message says what happened and what to do."""

from __future__ import annotations


class BrokerError(Exception):
    """The local broker can't do what was asked."""


class DependencyUnreachableError(BrokerError):
    """Something outside this machine is needed and can't be reached (the jars, on the first start)."""


class JarError(BrokerError):
    """A jar in the cache is damaged, missing or not one of ours; Java was not started."""


class PortTakenError(BrokerError):
    """Another program listens on the port."""


class BrokerDiedError(BrokerError):
    """The broker's process ended without `stop`; the message shows the end of its log."""
