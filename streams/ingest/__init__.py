"""From bytes to an event or the reason why not. Errors are values here: nothing in this package raises on bad input."""

from streams.ingest.bots import is_bot
from streams.ingest.decode import FUTURE_TOLERANCE_MS, Refusal, decode
from streams.ingest.record import Record

__all__ = ["FUTURE_TOLERANCE_MS", "Record", "Refusal", "decode", "is_bot"]
