"""A partition in memory, for tests and notebooks: the real fold under the real commit protocol, without a broker.

    engine = MemoryEngine()
    engine.run([view, cart, CRASH, purchase, COMMIT, DUPLICATE(0), LATE(3_600_000), view])
    engine.examples, engine.ledger, engine.users

`streams.testing.strategies` draws events and schedules; it needs hypothesis (the `test` extra) and is imported only by
those who use it.
"""

from streams.testing.answers import EchoRetriever, FingerprintScorer, echo_models
from streams.testing.engine import COMMIT, CRASH, DUPLICATE, LATE, Crash, MemoryEngine, Step
from streams.testing.log import MemoryLog
from streams.testing.promises import broken_promises
from streams.testing.subscriber import Subscriber, seq_of

__all__ = [
    "COMMIT",
    "CRASH",
    "DUPLICATE",
    "LATE",
    "Crash",
    "EchoRetriever",
    "FingerprintScorer",
    "MemoryEngine",
    "MemoryLog",
    "Step",
    "Subscriber",
    "broken_promises",
    "echo_models",
    "seq_of",
]
