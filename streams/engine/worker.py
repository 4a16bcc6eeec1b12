"""Runs a role until it is told to stop, has nothing left to do, or breaks a promise.

Exit codes: 0 stopped as asked or idle; 3 stopped because a promise could not be kept or Kafka could not be reached.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import structlog
import uvloop

from streams import __version__
from streams.contracts.topics import Name, physical
from streams.engine.groups import group_of
from streams.engine.idle import wait_until_idle
from streams.ops import logs
from streams.ops.clock import SystemClock
from streams.ops.health import Condition, Health, HealthServer
from streams.ops.metrics import Metrics
from streams.ops.settings import Settings, as_environment

if TYPE_CHECKING:
    from streams.engine.learn import LearnRole
    from streams.engine.score import ScoreRole

Role = Literal["score", "learn", "all"]
ROLES: tuple[Role, ...] = ("score", "learn", "all")

OK, BROKEN = 0, 3
_PARENT = "CLICKWAKE_PARENT_PID"
_STOP_WITHIN_S = 30.0
_log = structlog.get_logger(__name__)


def run(settings: Settings, role: Role, *, exit_when_idle_s: float | None = None) -> int:
    """Run until SIGTERM or SIGINT, or until idle for `exit_when_idle_s`; returns the exit code.

    `settings.kafka.bootstrap` must be set. With an idle limit no tick records are written: a batch run must not move
    time beyond its log's end.
    """
    if exit_when_idle_s is not None:
        without_ticks = settings.engine.model_copy(update={"tick_idle_s": 0.0})
        settings = settings.model_copy(update={"engine": without_ticks})
    if role == "all":
        return asyncio.run(_run_all(settings, exit_when_idle_s))
    return uvloop.run(_Process(settings, role, exit_when_idle_s).run())


def _bootstrap(settings: Settings) -> str:
    if settings.kafka.bootstrap is None:
        raise ValueError("kafka.bootstrap is not set")
    return settings.kafka.bootstrap


class _Process:
    """One role in this process."""

    def __init__(self, settings: Settings, role: Role, exit_when_idle_s: float | None) -> None:
        self._settings = settings
        self._bootstrap = _bootstrap(settings)
        self._role = role
        self._exit_when_idle_s = exit_when_idle_s
        self._metrics = Metrics()
        self._health = Health()
        self._ended: asyncio.Future[None] | None = None

    async def run(self) -> int:
        logs.configure(self._settings.log, self._role, metrics=self._metrics)
        self._metrics.use_build(__version__)
        self._ended = asyncio.get_running_loop().create_future()
        _on_signals(self._end)
        with HealthServer(self._settings.metrics, self._metrics.registry, self._health) as server:
            _log.info("worker starts", role=self._role, metrics=f"http://{server.bind}:{server.port}/metrics")
            role = self._new_role()
            try:
                await role.start()
                await self._watch(role)
            except Exception as error:  # noqa: BLE001  the last line of defence: say it and stop
                self._fail(error)
                _say_broken(error)
                os._exit(BROKEN)  # no orderly goodbye: nothing unfinished may be committed
            self._health.set(Condition.NOT_DRAINING, False, "the worker is stopping")
            try:
                async with asyncio.timeout(_STOP_WITHIN_S):
                    await role.stop()
            except TimeoutError:
                _log.error("worker did not stop in time", within_s=_STOP_WITHIN_S)
                os._exit(BROKEN)
            except Exception as error:  # noqa: BLE001
                _say_broken(error)
                os._exit(BROKEN)
        _log.info("worker stopped", role=self._role)
        return OK

    def _new_role(self) -> ScoreRole | LearnRole:
        # Imported here: half of a worker's start is imports, and neither needs the other's.
        if self._role == "learn":
            from streams.engine.learn import LearnRole

            return LearnRole(
                self._settings, self._bootstrap, metrics=self._metrics, health=self._health, failed=self._fail
            )
        from streams.engine.score import ScoreRole

        return ScoreRole(
            self._settings,
            self._bootstrap,
            metrics=self._metrics,
            health=self._health,
            clock=SystemClock(),
            failed=self._fail,
        )

    async def _watch(self, role: ScoreRole | LearnRole) -> None:
        """Until somebody ends it; raises what broke."""
        assert self._ended is not None
        idle = asyncio.create_task(self._until_idle())
        try:
            while not self._ended.done():
                self._health.tick()
                if _orphaned():
                    _log.error("the process that started this worker is gone; stopping")
                    return
                if role.app.crashed:
                    raise role.app.crash_reason or RuntimeError("Faust stopped without saying why")
                await role.look_after()
                if idle.done():
                    idle.result()
                    return
                await asyncio.wait({self._ended, idle}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            self._ended.result()
        finally:
            idle.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await idle

    async def _until_idle(self) -> None:
        if self._exit_when_idle_s is None:
            await asyncio.Event().wait()
        else:
            groups = _groups(self._settings, self._role)
            await wait_until_idle(self._bootstrap, groups, self._settings.kafka.partitions, self._exit_when_idle_s)

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def _fail(self, error: BaseException) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)


def _orphaned() -> bool:
    """One of `--role all` must not outlive the process that watches over it."""
    parent = os.environ.get(_PARENT)
    return parent is not None and int(parent) != os.getppid()


def _groups(settings: Settings, role: Role) -> dict[str, str]:
    topics = {"score": Name.EVENTS, "learn": Name.EXAMPLES}
    return {
        group_of(settings, name): physical(settings.kafka.topic_prefix, topic)
        for name, topic in topics.items()
        if role in (name, "all")
    }


def _say_broken(error: BaseException) -> None:
    _log.error("worker stops: a promise can't be kept", error=type(error).__name__, reason=str(error), exc_info=error)


def _on_signals(stop: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


async def _run_all(settings: Settings, exit_when_idle_s: float | None) -> int:
    """Both roles as processes of their own; the first that ends takes the other with it."""
    logs.configure(settings.log, "all")
    stop = asyncio.Event()
    _on_signals(stop.set)
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "streams",
            "worker",
            "--role",
            role,
            env={**os.environ, **_environment(settings, place)},
        )
        for place, role in enumerate(("score", "learn"))
    ]
    reasons: list[asyncio.Task[Any]] = [asyncio.create_task(process.wait()) for process in processes]
    reasons.append(asyncio.create_task(stop.wait()))
    if exit_when_idle_s is not None:
        groups = _groups(settings, "all")
        idle = wait_until_idle(_bootstrap(settings), groups, settings.kafka.partitions, exit_when_idle_s)
        reasons.append(asyncio.create_task(idle))
    await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
    for process in processes:
        if process.returncode is None:
            process.terminate()
    codes = [await process.wait() for process in processes]
    for reason in reasons:
        reason.cancel()
    await asyncio.gather(*reasons, return_exceptions=True)
    return next((code if code > 0 else BROKEN for code in codes if code), OK)


def _environment(settings: Settings, place: int) -> dict[str, str]:
    """The settings of one of several processes; a fixed metrics port is the first one's, the next takes the next."""
    environment = as_environment(settings) | {_PARENT: str(os.getpid())}
    if settings.metrics.port:
        environment["CLICKWAKE_METRICS__PORT"] = str(settings.metrics.port + place)
    return environment
