"""`clickwake demo`: a broker, a simulated shop and workers, watched live. Everything is real and ends with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streams.ops.settings import Settings

DEFAULT_RATE = 2_000.0
"""Records per second that the shop sends; at this rate the days of its thousand visitors take about 1.4 s each."""


def run(
    settings: Settings,
    *,
    seconds: float | None,
    headless: bool,
    keep: bool,
    rate: float = DEFAULT_RATE,
) -> int:
    """Run until Ctrl-C, SIGTERM or `seconds` after the shop opened, then end and remove all that was started.

    Args:
        settings: with `kafka.bootstrap` that cluster is used, under a topic prefix of the run's own that begins with
            `demo.`; without it a fresh local broker in `.clickwake/demo`.
        seconds: counted from the opening of the shop, when broker and worker are ready.
        headless: progress on stderr and one line of JSON on stdout instead of the live view.
        keep: leave broker, topics, models and log in place; the worker ends all the same.
        rate: records per second.

    Returns:
        0; 1 if a check failed (see `streams.demo.summary`) or the worker died; 130 if interrupted before the shop
        opened.

    Raises:
        KafkaUnreachableError, DependencyUnreachableError: no cluster answers, or the local one can't be had.
        BrokerError, KafkaRefusedError: it can't begin; the message says why and what to do.
    """
    from streams.demo.session import Session  # the guard imports this package and must stay light

    return Session(settings, seconds=seconds, headless=headless, keep=keep, rate=rate).run()
