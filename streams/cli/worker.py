"""`clickwake worker`: the engine."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from streams.cli import context


class Role(StrEnum):
    """What a worker does."""

    SCORE = "score"
    LEARN = "learn"
    ALL = "all"


def worker(
    role: Annotated[Role, typer.Option(help="score: own user state and predict; learn: train and publish.")] = Role.ALL,
    exit_when_idle: float | None = typer.Option(
        None, min=0.1, metavar="SECONDS", help="Leave when nothing has come for so long; for batches and tests."
    ),
) -> None:
    """Run the engine until Ctrl-C or SIGTERM, which let it finish its batch.

    Exit code 3: an output or a dead letter couldn't be delivered, so it stopped rather than skip.
    """
    from streams.engine import worker as engine
    from streams.ops import cluster, topics

    settings = context.with_bootstrap(context.load())
    with cluster.admin_client(context.bootstrap_of(settings), settings.kafka.request_timeout_s) as admin:
        topics.require(admin, settings.kafka)
    raise typer.Exit(engine.run(settings, role.value, exit_when_idle_s=exit_when_idle))
