"""`clickwake demo`: everything at once."""

from __future__ import annotations

import typer

from streams.cli import context


def demo(
    seconds: float | None = typer.Option(None, min=1, help="Stop after so long; default: until Ctrl-C."),
    headless: bool = typer.Option(False, "--headless", help="No live view; print a summary at the end."),
    keep: bool = typer.Option(False, "--keep", help="Leave the broker running and its data in place."),
) -> None:
    """Start a broker, a simulated shop and workers, and watch them. Ctrl-C cleans up."""
    from streams import demo as whole

    raise typer.Exit(whole.run(context.load(), seconds=seconds, headless=headless, keep=keep))
