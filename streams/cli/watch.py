"""`clickwake watch`: outputs as they come."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import typer

from streams.cli import context

if TYPE_CHECKING:
    from rich.table import Table

    from streams.contracts.topics import Name
    from streams.replay.watch import Output

COLUMNS = ("time", "user", "what", "item", "detail", "model")


def watch(
    topic: str | None = typer.Argument(
        None, help="conversions, recommendations, rejected, ... as in the table of topics; default: the first two."
    ),
    from_beginning: bool = typer.Option(False, "--from-beginning", help="Begin with the oldest record."),
    limit: int | None = typer.Option(None, min=1, help="Leave after so many records."),
    timeout: float | None = typer.Option(None, min=0.1, metavar="SECONDS", help="Leave after so long."),
    as_json: bool = typer.Option(False, "--json", help="Print each record as one line of JSON."),
) -> None:
    """Show outputs as a subscriber sees them, each once."""
    from streams.contracts.topics import Name, physical
    from streams.replay import watch as reading

    names = [Name.CONVERSIONS, Name.RECOMMENDATIONS] if topic is None else [_topic(topic)]
    settings = context.load()
    outputs = reading.watch(
        context.bootstrap_of(settings),
        [physical(settings.kafka.topic_prefix, name) for name in names],
        from_beginning=from_beginning,
        timeout_s=timeout,
    )
    with closing(outputs), suppress(KeyboardInterrupt):  # the usual way to leave
        if as_json:
            _print_lines(outputs, limit)
        elif sys.stdout.isatty():
            _print_live(outputs, limit)
        else:
            _print_rows(outputs, limit)


def _topic(text: str) -> Name:
    from streams.contracts.topics import Name

    for name in Name:
        if text in (name.name.lower(), name.value, name.value.removesuffix(".v1")):
            return name
    raise typer.BadParameter(f"unknown topic {text!r}; there are: {', '.join(name.name.lower() for name in Name)}")


def _print_lines(outputs: Iterator[Output | None], limit: int | None) -> None:
    """A value is JSON without line breaks already; a tombstone is `null`."""
    for output in _limited(outputs, limit):
        if output is None:
            sys.stdout.flush()
        else:
            sys.stdout.write((output.value or b"null").decode() + "\n")
    sys.stdout.flush()


def _print_rows(outputs: Iterator[Output | None], limit: int | None) -> None:
    for output in _limited(outputs, limit):
        if output is not None:
            sys.stdout.write("  ".join(cell for cell in row_of(output) if cell) + "\n")


def _print_live(outputs: Iterator[Output | None], limit: int | None) -> None:
    from rich.live import Live

    console = context.stdout()
    rows: deque[tuple[str, ...]] = deque(maxlen=max(5, console.height - 4))
    count = 0
    with Live(console=console, refresh_per_second=8, get_renderable=lambda: _table(rows, count)):
        for output in _limited(outputs, limit):
            if output is not None:
                count += 1
                rows.append(row_of(output))


def _limited(outputs: Iterator[Output | None], limit: int | None) -> Iterator[Output | None]:
    count = 0
    for output in outputs:
        yield output
        count += output is not None
        if limit is not None and count >= limit:
            return


def _table(rows: deque[tuple[str, ...]], count: int) -> Table:
    from rich.table import Table

    table = Table(*COLUMNS, box=None, pad_edge=False, expand=True, caption=f"{count:,} outputs (Ctrl-C leaves)")
    for row in list(rows):
        table.add_row(*row)
    return table


def row_of(output: Output) -> tuple[str, ...]:
    """One output as the cells of `COLUMNS`; records of other topics show their beginning."""
    import msgspec

    from streams.contracts.outputs import Conversion, Recommendations

    value = output.value
    what = "conversion" if "conversions." in output.topic else "recommended"
    record: Conversion | Recommendations
    try:
        if "conversions." in output.topic:
            record = msgspec.json.decode(value or b"", type=Conversion)
            item, detail = record.item_id, f"{record.probability:8.4%} within {record.horizon_ms / 86_400_000:g} d"
        elif "recommendations." in output.topic:
            record = msgspec.json.decode(value or b"", type=Recommendations)
            item = ", ".join(item.item_id for item in record.items[:5])
            detail = f"{len(record.items)} items, first: {record.items[0].reason}" if record.items else "none known"
        else:
            raise msgspec.DecodeError
    except msgspec.DecodeError:
        beginning = "(removed)" if value is None else value[:120].decode("utf-8", "replace")
        return (
            _clock(output.arrival_ms),
            (output.key or b"").decode("utf-8", "replace"),
            output.topic,
            "",
            beginning,
            "",
        )
    model = f"{record.model.name} {record.model.version}".strip() + (" (degraded)" if record.degraded else "")
    return _clock(record.ts_ms), record.user_id, what, item, detail, model


def _clock(time_ms: int) -> str:
    from streams.contracts.headers import rfc3339

    return rfc3339(time_ms).decode()[:19]
