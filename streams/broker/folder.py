"""The broker's data folder: what lies where, whose it is, who may change it.

clickwake-broker     marker: only a folder that has it, or an empty one, is ever written to or wiped
lock                 held by `start` and `stop` while they work
state.json           the process that was started last and not stopped
kafka/               Kafka's data; exists once it is formatted completely
tmp/                 Java's temporary files
*.properties         written anew at each start
broker.log           Kafka's log since the last start; broker.N.log are older parts, previous.log is the start before
console.log          what Java itself says
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from streams.broker.errors import BrokerError

MARKER_TEXT = "Made by `clickwake broker`. `clickwake broker start --fresh` wipes this folder.\n"
LOCK_POLL_S = 0.05
LOG_EXCERPT_LINES = 15


class ProcessState(msgspec.Struct, frozen=True):
    """What is remembered of a started broker."""

    pid: int
    port: int
    controller_port: int
    version: str


@dataclass(frozen=True)
class DataFolder:
    """Paths below one absolute data folder, and what may be done to it."""

    root: Path

    @classmethod
    def at(cls, data_dir: Path) -> DataFolder:
        root = data_dir.expanduser().resolve()
        if "," in str(root):
            raise BrokerError(f"the data folder {root} has a comma in its path, which Kafka can't read: choose another")
        return cls(root)

    @property
    def marker(self) -> Path:
        return self.root / "clickwake-broker"

    @property
    def lock_file(self) -> Path:
        return self.root / "lock"

    @property
    def state_file(self) -> Path:
        return self.root / "state.json"

    @property
    def kafka(self) -> Path:
        return self.root / "kafka"

    @property
    def tmp(self) -> Path:
        return self.root / "tmp"

    @property
    def log_file(self) -> Path:
        return self.root / "broker.log"

    @property
    def console_file(self) -> Path:
        return self.root / "console.log"

    def claim(self) -> None:
        """Make the folder, or check that it is ours.

        Raises:
            BrokerError: it holds files and no marker of ours, or can't be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            # In this order: another start that is just making the folder writes the marker before anything else.
            others = [path for path in self.root.iterdir() if path not in (self.marker, self.lock_file)]
            foreign = others and not self.marker.exists()
            if foreign:
                raise BrokerError(
                    f"{self.root} holds files but isn't a data folder of the local broker, so nothing was changed in "
                    "it. Choose another folder with CLICKWAKE_BROKER__DATA_DIR=..., or empty it yourself."
                )
            self.marker.write_text(MARKER_TEXT)
        except OSError as error:
            raise BrokerError(
                f"can't write to the data folder {self.root}: {error.strerror}. Make it writable or choose another "
                "with CLICKWAKE_BROKER__DATA_DIR=..."
            ) from error

    def wipe(self) -> None:
        """Remove everything but marker and lock. Call only after `claim`, under the lock."""
        for path in self.root.iterdir():
            if path in (self.marker, self.lock_file):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    @contextmanager
    def locked(self, deadline_s: float) -> Iterator[None]:
        """Hold the folder's lock; freed by the system when this process dies.

        Raises:
            BrokerError: another `start` or `stop` still holds it after `deadline_s`.
        """
        end = time.monotonic() + deadline_s
        with self.lock_file.open("w") as lock:
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise BrokerError(
                            f"another start or stop of the broker in {self.root} has not finished for "
                            f"{deadline_s:.0f} s. Wait for it or end it, then try again."
                        ) from None
                    time.sleep(LOCK_POLL_S)
            yield

    def read_state(self) -> ProcessState | None:
        """What was started last and not stopped; None also where the file is damaged (it is written whole)."""
        try:
            return msgspec.json.decode(self.state_file.read_bytes(), type=ProcessState)
        except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
            return None

    def write_state(self, state: ProcessState) -> None:
        new = self.state_file.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(state))
        os.replace(new, self.state_file)

    def clear_state(self) -> None:
        self.state_file.unlink(missing_ok=True)

    def cluster_id(self) -> str | None:
        """The id that Kafka's data was formatted with, None if it is not readable."""
        for line in _lines(self.kafka / "meta.properties"):
            key, _, value = line.partition("=")
            if key == "cluster.id":
                return value
        return None

    def rotate_logs(self) -> None:
        """Set the last run's log aside, so that the end of `broker.log` is about this run."""
        with suppress(FileNotFoundError):
            os.replace(self.log_file, self.root / "previous.log")
        self.console_file.unlink(missing_ok=True)

    def log_excerpt(self) -> str:
        """The last error and the last lines of the log, indented, for an error message."""
        lines = _lines(self.log_file)
        last = lines[-LOG_EXCERPT_LINES:]
        errors = [line for line in lines if " ERROR " in line or " FATAL " in line]
        shown = [line for line in errors[-2:] if line not in last] + last + _lines(self.console_file)[-5:]
        if not shown:
            return f"Its log {self.log_file} is empty."
        return f"The end of its log {self.log_file}:\n" + "\n".join(f"    {line}" for line in shown)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
