"""The worker as a process of its own, as an operator would start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from streams.demo.ground import DemoError
from streams.demo.guard import WORKER_ENDS_WITHIN_S
from streams.ops.settings import Settings, as_environment

ROLES = ("score", "learn")
_LAST_LINES = 15
_READY_WITHIN_S = 90.0
_ANSWER_WITHIN_S = 5.0


class Worker:
    """`python -m streams worker --role all` in a session of its own, so that Ctrl-C reaches it only through us."""

    def __init__(self, settings: Settings, log_file: Path) -> None:
        self.log_file = log_file
        with log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams", "worker", "--role", "all"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **as_environment(settings)},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative if a signal ended it."""
        return self._process.poll()

    def wait_ready(self) -> None:
        """Until both roles answer that they are ready.

        Raises:
            DemoError: it ended, or isn't ready in time.
        """
        deadline_s = time.monotonic() + _READY_WITHIN_S
        waiting = list(ROLES)
        while waiting:
            if self.exit_code() is not None:
                raise DemoError(self.obituary())
            endpoints = endpoints_in(self.log_file.read_text("utf-8", errors="replace"))
            waiting = [role for role in waiting if role not in endpoints or not _is_ready(endpoints[role])]
            if time.monotonic() > deadline_s:
                raise DemoError(f"the worker isn't ready after {_READY_WITHIN_S:g} s ({self.last_words()}")
            time.sleep(0.1)

    def ask_to_stop(self) -> None:
        """SIGTERM: it finishes its batch."""
        if self.exit_code() is None:
            self._process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Its exit code, after SIGTERM and as long as it gives itself; then what is left of it is killed."""
        self.ask_to_stop()
        try:
            self._process.wait(WORKER_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError, PermissionError):  # the session is empty, as it should be
                os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait(WORKER_ENDS_WITHIN_S)

    def obituary(self) -> str:
        """How it ended and the end of its log."""
        code = self.exit_code()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return f"the worker ended by itself with {how} ({self.last_words()}"

    def last_words(self) -> str:
        lines = self.log_file.read_text("utf-8", errors="replace").splitlines()[-_LAST_LINES:]
        return f"log: {self.log_file}). Its last lines:\n" + "\n".join(f"    {line}" for line in lines)


def endpoints_in(log: str) -> dict[str, str]:
    """Role -> `http://host:port` of its metrics and health, as the worker's log tells."""
    endpoints = {}
    for line in log.splitlines():
        if '"worker starts"' not in line:
            continue
        with suppress(ValueError, KeyError, TypeError):  # a line that is being written
            entry = json.loads(line)
            endpoints[entry["role"]] = entry["metrics"].removesuffix("/metrics")
    return endpoints


def _is_ready(endpoint: str) -> bool:
    try:
        with urllib.request.urlopen(f"{endpoint}/ready", timeout=_ANSWER_WITHIN_S) as answer:  # noqa: S310  own http
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
