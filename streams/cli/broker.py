"""`clickwake broker`: a real Kafka on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from streams.cli import context
from streams.cli.errors import ExitCode

if TYPE_CHECKING:
    from streams.broker import BrokerInfo

app = typer.Typer(help="A real single-node Apache Kafka on this machine, without Docker.", no_args_is_help=True)

JSON = typer.Option(False, "--json", help="Print the result as JSON.")


@app.command()
def start(
    port: int | None = typer.Option(None, min=0, max=65535, help="Port on 127.0.0.1; 0 picks a free one."),
    fresh: bool = typer.Option(False, "--fresh", help="Delete all its topics first."),
    as_json: bool = JSON,
) -> None:
    """Start the broker and wait until it answers. One that runs already is left as it is."""
    from streams import broker

    settings = context.load(broker={} if port is None else {"port": port}).broker
    narrate = context.stderr()
    info = broker.start(settings, fresh=fresh, on_progress=lambda step: narrate.print(step, style="dim", markup=False))
    _show(info, as_json)


@app.command()
def stop(as_json: bool = JSON) -> None:
    """Stop the broker; its topics stay."""
    from streams import broker

    stopped = broker.stop(context.load().broker)
    if as_json:
        context.print_json({"stopped": stopped})
    else:
        context.stderr().print("stopped" if stopped else "no local broker was running")


@app.command()
def status(as_json: bool = JSON) -> None:
    """Say whether the broker runs; exit code 1 if it doesn't."""
    from streams import broker

    info = broker.status(context.load().broker)
    if info is not None:
        _show(info, as_json)
        return
    if as_json:
        context.print_json({"running": False})
    else:
        context.stderr().print("no local broker runs. Start one with `clickwake broker start`.")
    raise typer.Exit(ExitCode.FAILED)


def _show(info: BrokerInfo, as_json: bool) -> None:
    fields: dict[str, Any] = {
        "running": True,
        "bootstrap": info.bootstrap,
        "port": info.port,
        "pid": info.pid,
        "version": info.version,
        "data_dir": str(info.data_dir),
        "log_file": str(info.log_file),
        "rss_mb": round(info.rss_mb, 1),
    }
    if as_json:
        context.print_json(fields)
        return
    context.stdout().print(
        f"Kafka {info.version} on {info.bootstrap} (process {info.pid}, {info.rss_mb:.0f} MiB)\n"
        f"data  {info.data_dir}\nlog   {info.log_file}",
        markup=False,
    )
