"""`clickwake produce`: a source's events into Kafka."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from streams.cli import context
from streams.cli.errors import ExitCode
from streams.cli.sources import HELP, open_any

if TYPE_CHECKING:
    from streams.replay.produce import Totals
    from streams.replay.sources import Source, SourceFault

SHOWN_FAULTS = 20


def produce(
    source: str = typer.Argument(metavar="SOURCE", help=HELP),
    rate: float | None = typer.Option(None, min=0.001, help="Records per second; default: as fast as possible."),
    speed: float | None = typer.Option(None, min=0.001, help="Keep the log's own tempo, so many times as fast."),
    limit: int | None = typer.Option(None, min=1, help="Stop after so many rows."),
    as_json: bool = typer.Option(False, "--json", help="Print the totals as JSON."),
) -> None:
    """Send a source's events into Kafka, each user's in their order.

    Rows that are no event are refused with their line number. Exit code 1 if Kafka didn't take every record.
    """
    if rate is not None and speed is not None:
        raise typer.BadParameter("give --rate or --speed, not both")
    from streams.replay.produce import Pace, Sender

    settings = context.load()
    bootstrap = context.bootstrap_of(settings)
    rows = open_any(source, bootstrap)
    faults = _Faults()
    interrupted = False
    with _progress(source, rows, limit) as show:
        sender = Sender(
            bootstrap,
            settings.kafka.topic_prefix,
            pace=Pace(rate, speed),
            on_fault=faults.tell,
            on_progress=show,
        )
        try:
            sender.run(rows, limit)
        except KeyboardInterrupt:
            interrupted = True
    faults.end()
    _report(sender.totals, sender.first_failure, as_json)
    if interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    if sender.totals.failed:
        raise typer.Exit(ExitCode.FAILED)


class _Faults:
    """The first twenty refused rows in words, the rest as a count."""

    def __init__(self) -> None:
        self._count = 0
        self._out = context.stderr()

    def tell(self, fault: SourceFault) -> None:
        self._count += 1
        if self._count <= SHOWN_FAULTS:
            self._out.print(f"line {fault.line}: refused: {fault.reason}", markup=False)

    def end(self) -> None:
        if self._count > SHOWN_FAULTS:
            self._out.print(f"... and {self._count - SHOWN_FAULTS} more rows refused")


@contextmanager
def _progress(name: str, source: Source, limit: int | None) -> Iterator[Callable[[Totals], None]]:
    """A bar on a terminal, over the file's bytes where their number is known, else over rows; nothing elsewhere."""
    console = context.stderr()
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    by_bytes = limit is None and bool(source.total_bytes)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[sent]:,} sent"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(name, total=source.total_bytes if by_bytes else limit, sent=0)

        def show(totals: Totals) -> None:
            done = source.bytes_read if by_bytes else totals.read
            bar.update(task, completed=done, sent=totals.sent)

        yield show


def _report(totals: Totals, first_failure: str, as_json: bool) -> None:
    if as_json:
        context.print_json(asdict(totals))
    else:
        context.stderr().print(
            f"{totals.read:,} rows read, {totals.sent:,} sent, {totals.acknowledged:,} acknowledged by Kafka, "
            f"{totals.refused:,} refused, {totals.failed:,} failed"
        )
    if totals.failed:
        context.stderr().print(
            f"{totals.failed:,} records were not acknowledged; the first because of: {first_failure}. "
            "Look at the broker, then send the source again: repeats are dropped by their event id.",
            markup=False,
        )
