"""One demo from beginning to end: start everything, watch, end everything, whatever happens in between."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Protocol

import orjson

from streams import broker
from streams.contracts.topics import physical
from streams.demo import ground as grounds
from streams.demo.feed import Feed
from streams.demo.ground import DemoError, Ground
from streams.demo.guard import WORKER_ENDS_WITHIN_S, Guard
from streams.demo.signals import Stop
from streams.demo.summary import Moment, Pulse, checks, progress, summary
from streams.demo.tally import FOLLOWED, Tally
from streams.demo.worker import Worker
from streams.ops.cluster import require_reachable
from streams.ops.settings import Settings
from streams.replay.watch import Output, Seen, watch

OK, FAILED, INTERRUPTED = 0, 1, 130
_PROGRESS_EVERY_S = 5.0
_ALL_READ_AFTER_S = 0.5
"""Nothing new for so long after the worker has ended: all that it wrote is read."""


class View(Protocol):
    """Shows a running demo."""

    every_s: float

    def show(self, moment: Moment, tally: Tally, doing: str) -> None:
        """Show this moment; `doing` is empty while the shop is open."""


class _Lines:
    """Progress for a log."""

    every_s = _PROGRESS_EVERY_S

    def show(self, moment: Moment, tally: Tally, doing: str) -> None:
        _say(doing or progress(moment, tally))


@dataclass
class _Played:
    """What a demo came to. `fault`: why it ended early, in words; else empty."""

    moment: Moment
    tally: Tally
    duplicates: int = 0
    undelivered: int = 0
    worker_exit_code: int = 0
    fault: str = ""


class Session:
    """See `streams.demo.run` for the arguments."""

    def __init__(self, settings: Settings, *, seconds: float | None, headless: bool, keep: bool, rate: float) -> None:
        self._settings = settings
        self._seconds = seconds
        self._headless = headless
        self._keep = keep
        self._rate = rate
        self._stop = Stop()

    def run(self) -> int:
        """See `streams.demo.run`."""
        ground = grounds.choose(self._settings, keep=self._keep)
        if not ground.own_broker:
            require_reachable(ground.bootstrap)
        try:
            with self._stop, grounds.locked(ground) as lock:
                return self._run(ground, lock)
        except DemoError as error:
            _say(f"clickwake: {error}")
            return FAILED

    def _run(self, ground: Ground, lock: int) -> int:
        guard = Guard(ground, lock)
        code = FAILED
        try:
            with self._stop.raising(), _steps() as tell:
                ground = grounds.prepare(ground, tell)
            code = self._report(ground, self._play(ground, guard))
        except KeyboardInterrupt:
            _say("interrupted before the shop opened")
            code = INTERRUPTED
        finally:
            _say(_farewell(ground, failed=code == FAILED))
            grounds.put_away(ground, keep_log=code == FAILED)
            guard.dismiss()
        return code

    def _play(self, ground: Ground, guard: Guard) -> _Played:
        tally = Tally(ground.prefix)
        feed = Feed(ground.bootstrap, ground.prefix, rate=self._rate, applied=lambda: tally.applied)
        worker = Worker(ground.settings, ground.worker_log)
        try:
            guard.worker_is(worker.pid)
            with self._stop.raising(), _steps() as tell:
                tell("starting the worker")
                feed.start()
                worker.wait_ready()
                tell("opening the shop")
                _wait_for_catalog(feed)
            played = self._watch(ground, tally, feed, worker)
        finally:
            exit_code = worker.end()
            guard.worker_ended()
            feed.stop()
        played.worker_exit_code = exit_code
        played.undelivered = feed.totals.failed
        return played

    def _watch(self, ground: Ground, tally: Tally, feed: Feed, worker: Worker) -> _Played:
        """Let the shop run and watch; then close it, let the worker finish, and read what it left."""
        seen, pulse = Seen(), Pulse(feed.options.start_ms)
        topics = [physical(ground.prefix, name) for name in FOLLOWED]
        outputs = watch(ground.bootstrap, topics, from_beginning=True, seen=seen)
        started_s = time.monotonic()

        def moment() -> Moment:
            return pulse.at(time.monotonic() - started_s, feed.now_ms, tally)

        moment()  # rates need a point to start from
        feed.open()
        with closing(outputs), self._view() as view:
            fault = self._follow(outputs, tally, feed, worker, lambda: view.show(moment(), tally, ""), view.every_s)
            feed.stop()
            last = moment()
            view.show(last, tally, "the shop is closed; the worker finishes its batch")
            worker.ask_to_stop()
            _read_rest(outputs, tally, worker)
            view.show(last, tally, "all outputs are read")
        return _Played(last, tally, duplicates=seen.duplicates, fault=fault)

    def _follow(
        self,
        outputs: Generator[Output | None, None, None],
        tally: Tally,
        feed: Feed,
        worker: Worker,
        show: Callable[[], None],
        every_s: float,
    ) -> str:
        """Until it is time or somebody asks to stop: empty. Or until something breaks: what."""
        begun_s = time.monotonic()
        next_s = begun_s + every_s
        for output in outputs:
            if output is not None:
                tally.add(output)
            now_s = time.monotonic()
            if now_s >= next_s:
                next_s = now_s + every_s
                show()
            if self._stop.asked or (self._seconds is not None and now_s - begun_s >= self._seconds):
                return ""
            if worker.exit_code() is not None:
                return worker.obituary()
            if feed.failure is not None:
                return f"the shop can't send its events: {feed.failure}"
        raise AssertionError("unreachable: without a timeout the outputs never end")

    def _view(self) -> AbstractContextManager[View]:
        if self._headless or not sys.stdout.isatty():
            return _as_context(_Lines())
        from streams.demo.screen import live

        return live()

    def _report(self, ground: Ground, played: _Played) -> int:
        """Print how it went; the exit code.

        Raises:
            KafkaUnreachableError, BrokerDiedError: it went wrong because Kafka went away.
        """
        if played.fault:
            _say(f"clickwake: {played.fault}")
            if ground.own_broker:
                broker.status(ground.settings.broker)
            else:
                require_reachable(ground.bootstrap)
        found = checks(
            played.tally,
            worker_exit_code=played.worker_exit_code,
            undelivered=played.undelivered,
            outputs_due=self._headless,
        )
        found["ran_to_its_end"] = not played.fault
        result = summary(
            played.moment,
            played.tally,
            found=found,
            duplicates=played.duplicates,
            worker_exit_code=played.worker_exit_code,
        )
        if self._headless:
            sys.stdout.write(orjson.dumps(result).decode() + "\n")
            sys.stdout.flush()
        for name in (name for name, held in found.items() if not held):
            _say(f"clickwake: this check failed: {name.replace('_', ' ')}")
        return OK if result["ok"] else FAILED


def _wait_for_catalog(feed: Feed) -> None:
    """Until Kafka has all items.

    Raises:
        DemoError: it doesn't get them.
    """
    while not feed.ready:
        if feed.failure is not None:
            raise DemoError(f"the shop can't send its catalogue: {feed.failure}")
        time.sleep(0.05)


def _read_rest(outputs: Iterator[Output | None], tally: Tally, worker: Worker) -> None:
    """Until the worker has ended and nothing more comes."""
    begun_s = newest_s = time.monotonic()
    for output in outputs:
        now_s = time.monotonic()
        if output is not None:
            tally.add(output)
            newest_s = now_s
        if worker.exit_code() is None:
            if now_s - begun_s > WORKER_ENDS_WITHIN_S:
                return
            newest_s = now_s
        elif now_s - newest_s > _ALL_READ_AFTER_S:
            return


@contextmanager
def _steps() -> Iterator[Callable[[str], None]]:
    """Steps of the start in words: beside a spinner on a terminal, else line by line."""
    from rich.console import Console

    console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield _say
        return
    with console.status("starting") as status:
        yield lambda step: status.update(step)


@contextmanager
def _as_context(view: View) -> Iterator[View]:
    yield view


def _farewell(ground: Ground, *, failed: bool) -> str:
    if not ground.keep:
        log_stays = failed and ground.worker_log.exists()
        return "cleaning up" + (f"; the worker's log stays in {ground.worker_log}" if log_stays else "")
    kafka = ground.settings.kafka
    if kafka.bootstrap is None:
        return f"kept: {ground.folder}"
    variables = f"CLICKWAKE_KAFKA__BOOTSTRAP={kafka.bootstrap}"
    if kafka.topic_prefix:
        variables += f" CLICKWAKE_KAFKA__TOPIC_PREFIX={kafka.topic_prefix}"
    lines = [f"kept: {ground.folder}, and the topics. See them:", f"    {variables} clickwake watch --from-beginning"]
    if ground.own_broker:
        data = ground.settings.broker.data_dir
        lines += ["The broker runs on. Stop it:", f"    CLICKWAKE_BROKER__DATA_DIR={data} clickwake broker stop"]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
