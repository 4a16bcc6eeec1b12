"""The command line. One file per group of commands; each imports what it needs when it runs, so that help is quick."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from streams import __version__
from streams.cli import broker, demo, doctor, produce, topics, watch, worker
from streams.cli.errors import explain

app = typer.Typer(
    name="clickwake",
    help="Turns a shop's clickstream on Kafka into predictions on Kafka, learning while it serves.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # the pretty help costs a quarter of a second of imports
    epilog="Settings come from the environment (CLICKWAKE_KAFKA__BOOTSTRAP=...): see `clickwake doctor --settings`. "
    "Exit codes: 0 ok, 1 a check failed, 2 wrong usage, 3 something needed can't be reached.",
)
app.add_typer(broker.app, name="broker")
app.add_typer(topics.app, name="topics")
app.command("demo")(demo.demo)
app.command("worker")(worker.worker)
app.command("produce")(produce.produce)
app.command("watch")(watch.watch)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"clickwake {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and leave."
    ),
) -> None:
    pass


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line; always leaves by SystemExit with one of the exit codes.

    Errors that a user can mend are printed as a paragraph on stderr; a traceback means a fault of the program.
    """
    try:
        app(args=None if args is None else list(args), prog_name="clickwake")
    except Exception as error:
        known = explain(error)
        if known is None:
            raise
        code, message = known
        typer.echo(f"clickwake: {message}", err=True)
        sys.exit(code)
