"""`clickwake demo`: everything at once."""

from __future__ import annotations

import typer

from streams.cli import context


def demo(
    seconds: float | None = typer.Option(None, min=1, help="Close the shop after so long; default: at Ctrl-C."),
    rate: float | None = typer.Option(None, min=1, help="Events per second; default: 2,000."),
    headless: bool = typer.Option(False, "--headless", help="No live view; print a summary at the end."),
    keep: bool = typer.Option(False, "--keep", help="Leave the broker running and its data in place."),
) -> None:
    """Start a broker, a simulated shop and workers, and watch them. Ctrl-C cleans up.

    With CLICKWAKE_KAFKA__BOOTSTRAP set, that cluster is used under a topic prefix of the run's own.
    """
    from streams import demo as whole

    chosen = {} if rate is None else {"rate": rate}
    raise typer.Exit(whole.run(context.load(), seconds=seconds, headless=headless, keep=keep, **chosen))
