"""Metrics and health over HTTP, from a thread of its own: a stuck event loop must not answer for itself.

`/metrics` for Prometheus; `/live`, `/ready` and `/startup` answer 200 or 503 with a JSON body that says why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

import orjson
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from streams.ops.settings import MetricsSettings, SettingsError

_READ_TIMEOUT_S = 5.0  # a client that sends nothing must not hold a thread for ever


class Condition(StrEnum):
    """What must hold before a worker is ready."""

    ASSIGNED = "assigned"
    RECOVERED = "recovered"
    MODEL_LOADED = "model_loaded"
    NOT_DRAINING = "not_draining"


@dataclass(frozen=True)
class Report:
    """An answer: `reasons` has one sentence per condition that doesn't hold."""

    ok: bool
    reasons: dict[str, str]


class Health:
    """Flags that the worker sets and probes that are asked when somebody looks. Thread-safe.

    Live: the event loop called `tick` within `live_within_s`; before the first tick the process is starting and counts
    as live. Ready: every one of `conditions` holds; each is false until set, except that nobody drains yet. Started:
    those of `started_when` hold.
    """

    def __init__(
        self,
        conditions: tuple[Condition, ...] = tuple(Condition),
        *,
        started_when: tuple[Condition, ...] = (Condition.RECOVERED,),
        live_within_s: float = 30.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reasons: dict[Condition, str | None] = dict.fromkeys(conditions, "not yet")
        if Condition.NOT_DRAINING in self._reasons:
            self._reasons[Condition.NOT_DRAINING] = None
        self._started_when = tuple(condition for condition in started_when if condition in self._reasons)
        self._probes: dict[Condition, Callable[[], str | None]] = {}
        self._live_within_s = live_within_s
        self._monotonic = monotonic
        self._ticked_at: float | None = None
        self._lock = threading.Lock()

    def tick(self) -> None:
        """The event loop turns. Call it at least every few seconds from the loop itself."""
        self._ticked_at = self._monotonic()

    def set(self, condition: Condition, ok: bool, reason: str = "not yet") -> None:
        """State a condition; `reason` says why it does not hold.

        Raises:
            KeyError: this worker has no such condition.
        """
        with self._lock:
            if condition not in self._reasons:
                raise KeyError(f"{condition} is no condition of this worker: {list(self._reasons)}")
            self._reasons[condition] = None if ok else reason

    def probe(self, condition: Condition, why_not: Callable[[], str | None]) -> None:
        """Ask `why_not` at each look: none when the condition holds. It runs in the server's thread."""
        with self._lock:
            if condition not in self._reasons:
                raise KeyError(f"{condition} is no condition of this worker: {list(self._reasons)}")
            self._probes[condition] = why_not

    def live(self) -> Report:
        ticked_at = self._ticked_at
        if ticked_at is None:
            return Report(True, {})
        idle_s = self._monotonic() - ticked_at
        if idle_s <= self._live_within_s:
            return Report(True, {})
        return Report(False, {"event_loop": f"last turn {idle_s:.1f} s ago, allowed are {self._live_within_s:g} s"})

    def ready(self) -> Report:
        return self._report(tuple(self._reasons))

    def startup(self) -> Report:
        return self._report(self._started_when)

    def _report(self, conditions: tuple[Condition, ...]) -> Report:
        with self._lock:
            reasons, probes = dict(self._reasons), dict(self._probes)
        found = {}
        for condition in conditions:
            reason = probes[condition]() if condition in probes else reasons[condition]
            if reason is not None:
                found[condition.value] = reason
        return Report(not found, found)


class HealthServer:
    """Serves one worker's metrics and health; a context manager. `port` is the real one when 0 was asked for."""

    def __init__(self, settings: MetricsSettings, registry: CollectorRegistry, health: Health) -> None:
        """Raises SettingsError when it can't listen there: the port is taken, or the address isn't this machine's."""
        try:
            self._server = _Server((settings.bind, settings.port), registry, health)
        except OSError as error:
            raise SettingsError(
                f"metrics can't be served on {settings.bind}:{settings.port}: {error.strerror or error}. "
                "Set CLICKWAKE_METRICS__BIND and CLICKWAKE_METRICS__PORT (0 picks a free port)."
            ) from None
        self.bind = settings.bind
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), name="health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and release the port; returns within about a tenth of a second. May be called twice."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> HealthServer:
        self.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, health: Health) -> None:
        self.registry = registry
        self.reports = {"/live": health.live, "/ready": health.ready, "/startup": health.startup}
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "clickwake"
    sys_version = ""
    timeout = _READ_TIMEOUT_S

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, generate_latest(self.server.registry), CONTENT_TYPE_PLAIN_0_0_4)
        elif path in self.server.reports:
            report = self.server.reports[path]()
            body = orjson.dumps({"ok": report.ok, "reasons": report.reasons})
            self._answer(200 if report.ok else 503, body, "application/json")
        else:
            known = ["/metrics", *self.server.reports]
            self._answer(404, orjson.dumps({"error": "unknown path", "known": known}), "application/json")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """A scrape is no news."""
