"""Cleans up after a demo that was killed: `python -m streams.demo.guard`, started before anything else.

It reads its orders from a pipe whose other end only the demo has. When the pipe ends without the word that all is
done, the demo is gone, however it went, and the guard ends the worker, stops the broker and removes the data.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streams.demo.ground import Ground

WORKER_ENDS_WITHIN_S = 35.0  # the worker gives itself 30 s
_GONE_WITHIN_S = 10.0


class Guard:
    """The demo's end of the pipe."""

    def __init__(self, ground: Ground, lock: int) -> None:
        """`lock`: descriptor of the folder's lock, which the guard holds on to until it has cleaned up."""
        from streams.ops.settings import as_environment

        self._process = subprocess.Popen(
            [sys.executable, "-m", "streams.demo.guard"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **as_environment(ground.settings)},
            pass_fds=(lock,),
            start_new_session=True,  # Ctrl-C and a closed terminal are for the demo alone
        )
        self._tell(folder=str(ground.folder), own_broker=ground.own_broker, keep=ground.keep)

    def worker_is(self, pid: int) -> None:
        """A worker was started, in a session of its own."""
        self._tell(worker=pid)

    def worker_ended(self) -> None:
        """Its process id may belong to another from now on."""
        self._tell(worker=None)

    def dismiss(self) -> None:
        """All is put away."""
        self._tell(done=True)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GONE_WITHIN_S)

    def _tell(self, **order: Any) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # somebody killed the guard: then nobody cleans up after a kill
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()


def end_session(pid: int, *, within_s: float) -> None:
    """SIGTERM to all processes of a session whose leader was `pid`, SIGKILL to what is left after `within_s`."""
    deadline_s = time.monotonic() + within_s
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGTERM)
        while time.monotonic() < deadline_s:
            time.sleep(0.1)
            os.killpg(pid, 0)
        os.killpg(pid, signal.SIGKILL)


def main() -> None:
    """Wait for the pipe's end, then do what the demo didn't."""
    orders: dict[str, Any] = {}
    for line in sys.stdin:
        orders.update(json.loads(line))
    if orders.get("done") or "folder" not in orders:
        return
    from streams.demo.ground import Ground, put_away
    from streams.ops.settings import load

    if orders.get("worker") is not None:
        end_session(orders["worker"], within_s=WORKER_ENDS_WITHIN_S)
    put_away(Ground(Path(orders["folder"]), load(), orders["own_broker"], orders["keep"]), keep_log=False)


if __name__ == "__main__":
    main()
