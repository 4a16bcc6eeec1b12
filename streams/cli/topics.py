"""`clickwake topics`: the table of topics against a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from streams.cli import context
from streams.cli.errors import ExitCode

if TYPE_CHECKING:
    from streams.ops.topics import Row

app = typer.Typer(help="Create the topics, or compare them with the cluster.", no_args_is_help=True)

JSON = typer.Option(False, "--json", help="Print one JSON array of topics.")

_STYLES = {"ok": "green", "missing": "yellow", "config": "yellow", "partitions": "red", "replication": "red"}


@app.command()
def plan(as_json: bool = JSON) -> None:
    """Show what `apply` would change; exit code 1 if it can't make the cluster right."""
    from streams.ops import cluster, topics

    settings = context.load()
    with cluster.admin_client(context.bootstrap_of(settings), settings.kafka.request_timeout_s) as admin:
        rows = topics.plan(admin, settings.kafka)
    _show(rows, as_json)


@app.command()
def apply(as_json: bool = JSON) -> None:
    """Create missing topics and alter settings that differ. Nothing is deleted; may be repeated."""
    from streams.ops import cluster, topics

    settings = context.load()
    with cluster.admin_client(context.bootstrap_of(settings), settings.kafka.request_timeout_s) as admin:
        rows = topics.apply(admin, settings.kafka)
    _show(rows, as_json, applied=True)


def _show(rows: list[Row], as_json: bool, *, applied: bool = False) -> None:
    if as_json:
        context.print_json([row.to_json() for row in rows])
    else:
        _print_table(rows, applied)
    if any(row.blocked for row in rows):
        raise typer.Exit(ExitCode.FAILED)


def _print_table(rows: list[Row], applied: bool) -> None:
    from rich.table import Table

    done = {"missing": "created", "config": "altered"} if applied else {}
    table = Table("topic", "state", "found -> wanted", box=None, pad_edge=False)
    for row in rows:
        changes = "\n".join(f"{name}: {found} -> {wanted}" for name, (found, wanted) in row.changes.items())
        state = done.get(row.state.value, row.state.value)
        table.add_row(row.topic, f"[{_STYLES[row.state.value]}]{state}[/]", changes)
    context.stdout().print(table)
    by_repair: dict[str, list[str]] = {}
    for row in rows:
        if row.repair and row.state.value not in done:
            by_repair.setdefault(row.repair, []).append(row.topic)
    for repair, names in by_repair.items():
        context.stderr().print(f"{names[0] if len(names) == 1 else f'{len(names)} topics'}: {repair}", markup=False)
