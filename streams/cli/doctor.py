"""`clickwake doctor`: is everything in place, and if not, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from streams.cli import context
from streams.cli.errors import ExitCode

if TYPE_CHECKING:
    from streams.ops.doctor import Check

_MARKS = {"ok": "[green]ok     [/]", "failed": "[red]failed [/]", "skipped": "[dim]skipped[/]"}


def doctor(
    show_settings: bool = typer.Option(False, "--settings", help="Print the effective settings, secrets hidden."),
    as_json: bool = typer.Option(False, "--json", help="Print the result as JSON."),
) -> None:
    """Check settings, broker, topics, model store and clocks. Exit code 1: a check failed; 3: no broker."""
    from streams.ops import doctor as checks
    from streams.ops.clock import SystemClock
    from streams.ops.cluster import KafkaUnreachableError
    from streams.ops.settings import SettingsError, describe

    try:
        settings = context.load()
    except SettingsError as error:
        _show([checks.wrong_settings(error)], None, as_json)
        raise typer.Exit(ExitCode.FAILED) from None
    try:
        bootstrap = context.bootstrap_of(settings)
        found = checks.examine(settings, bootstrap, SystemClock())
    except KafkaUnreachableError as error:
        found = checks.without_broker(settings, error)
    _show(found, describe(settings) if show_settings else None, as_json)
    if any(check.name == checks.BROKER and check.state == "failed" for check in found):
        raise typer.Exit(ExitCode.UNREACHABLE)
    if any(check.state == "failed" for check in found):
        raise typer.Exit(ExitCode.FAILED)


def _show(found: list[Check], effective: dict[str, str] | None, as_json: bool) -> None:
    if as_json:
        result: dict[str, object] = {"checks": [check.to_json() for check in found]}
        if effective is not None:
            result["settings"] = effective
        context.print_json(result)
        return
    out = context.stdout()
    for check in found:
        out.print(_MARKS[check.state], end=" ")
        out.print(f"{check.name}: {check.detail}", markup=False)
        if check.repair:
            out.print(f"        {check.repair}", markup=False)
    for name, value in (effective or {}).items():
        out.print(f"{name} = {value}", markup=False)
