"""Start, stop and status of the local broker.

All state is in the data folder, so any process may stop what another started.
"""

from __future__ import annotations

import base64
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.broker import config, jars, process
from streams.broker.errors import BrokerDiedError, BrokerError, PortTakenError
from streams.broker.folder import DataFolder, ProcessState
from streams.ops.settings import BrokerSettings

READY_DEADLINE_S = 60.0
STOP_DEADLINE_S = 20.0
# A start may fetch jars, format and wait for Kafka; whoever comes second waits for all of it.
LOCK_DEADLINE_S = 180.0
METADATA_TIMEOUT_S = 0.5
START_ATTEMPTS = 3
PORT_DEADLINE_S = 0.5
Progress = Callable[[str], None]


@dataclass(frozen=True)
class BrokerInfo:
    """A running broker. `bootstrap` is `host:port` for clients, `rss_mb` its resident memory in MiB."""

    bootstrap: str
    port: int
    pid: int
    version: str
    data_dir: Path
    log_file: Path
    rss_mb: float


def start(
    settings: BrokerSettings, *, fresh: bool = False, on_progress: Callable[[str], None] | None = None
) -> BrokerInfo:
    """Start the broker and wait until it answers; it outlives this process.

    The one that already runs in this data folder is returned as it is, whatever port the settings name. With `fresh`
    it is stopped first and all its topics are deleted. `on_progress` is told each step in words.

    Raises:
        DependencyUnreachableError: the jars aren't in the cache and can't be fetched.
        JarError: a jar is damaged, missing or not in the committed list.
        PortTakenError: another program listens on the port.
        BrokerDiedError: Kafka ended before it was ready; the message has the end of its log.
        BrokerError: the data folder isn't ours, is in use or can't be written; or Kafka isn't ready in time.
    """
    tell = on_progress if on_progress is not None else _tell_nobody
    folder = DataFolder.at(settings.data_dir)
    folder.claim()
    with folder.locked(LOCK_DEADLINE_S):
        running = _running(folder)
        if running is not None and not fresh:
            _wait_until_ready(folder, running)
            return _info(folder, running)
        if running is not None:
            tell(f"stopping the running broker (process {running.pid})")
            process.end(folder, running.pid, STOP_DEADLINE_S)
        _refuse_unknown_process(folder)
        _check_free(settings.port)
        class_path = jars.ensure(jars.read_list(), settings.cache_dir, on_progress=tell)
        if fresh:
            folder.wipe()
        folder.clear_state()
        _format_once(folder, class_path, tell)
        return _launch(folder, settings, class_path, tell)


def stop(settings: BrokerSettings) -> bool:
    """Stop the broker of this data folder; False if none ran. Its topics stay.

    Raises:
        BrokerError: another start or stop doesn't finish, or the process can't be ended.
    """
    folder = DataFolder.at(settings.data_dir)
    if not folder.marker.exists():
        return False
    with folder.locked(LOCK_DEADLINE_S):
        running = _running(folder)
        if running is not None:
            process.end(folder, running.pid, STOP_DEADLINE_S)
        folder.clear_state()
        return running is not None


def status(settings: BrokerSettings) -> BrokerInfo | None:
    """The broker that runs in this data folder, or None if none was started or it was stopped.

    Raises:
        BrokerDiedError: it was started, not stopped, and its process is gone; the message has the end of its log.
    """
    folder = DataFolder.at(settings.data_dir)
    state = folder.read_state()
    if state is None:
        return None
    if not process.is_ours(folder, state.pid):
        if folder.read_state() != state:  # stopped or started anew while we looked
            return status(settings)
        raise BrokerDiedError(
            f"the broker (process {state.pid}, port {state.port}) ended without being stopped: a crash, a kill or a "
            f"restart of the machine. Start it again: its topics are kept. {folder.log_excerpt()}"
        )
    return _info(folder, state)


def _running(folder: DataFolder) -> ProcessState | None:
    state = folder.read_state()
    return state if state is not None and process.is_ours(folder, state.pid) else None


def _info(folder: DataFolder, state: ProcessState) -> BrokerInfo:
    return BrokerInfo(
        bootstrap=f"{config.HOST}:{state.port}",
        port=state.port,
        pid=state.pid,
        version=state.version,
        data_dir=folder.root,
        log_file=folder.log_file,
        rss_mb=process.resident_mb(state.pid),
    )


def _refuse_unknown_process(folder: DataFolder) -> None:
    pid = process.find(folder)
    if pid is not None:
        raise BrokerError(
            f"the data folder {folder.root} is in use by a running broker (process {pid}) whose "
            f"{folder.state_file.name} is gone. End it with `kill {pid}`, then start again."
        )


def _format_once(folder: DataFolder, class_path: list[Path], tell: Progress) -> None:
    if folder.kafka.exists():
        return
    tell("formatting the data folder")
    # Formatted beside its place and moved there: what an interrupted start leaves is never taken for a whole one.
    unfinished = folder.root / "kafka.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    server = folder.root / "format.properties"
    server.write_text(config.render(config.server_properties(1, 2, unfinished)), "ascii")
    process.format_storage(class_path, server, _cluster_id())
    os.replace(unfinished, folder.kafka)


def _launch(folder: DataFolder, settings: BrokerSettings, class_path: list[Path], tell: Progress) -> BrokerInfo:
    version = jars.read_list().kafka_version
    for attempt in range(1, START_ATTEMPTS + 1):
        port, controller_port = _ports(settings.port)
        server, logging = folder.root / "server.properties", folder.root / "log4j2.properties"
        server.write_text(config.render(config.server_properties(port, controller_port, folder.kafka)), "ascii")
        logging.write_text(config.render(config.logging_properties(folder.log_file)), "ascii")
        folder.rotate_logs()
        tell(f"starting Kafka {version} on {config.HOST}:{port}")
        pid = process.spawn(folder, class_path, settings.heap_mb, server, logging)
        state = ProcessState(pid, port, controller_port, version)
        folder.write_state(state)
        try:
            _wait_until_ready(folder, state)
            return _info(folder, state)
        except BrokerDiedError:
            folder.clear_state()
            # Between choosing a free port and Kafka's binding it, another program may take it.
            if not _log_says(folder, "Address already in use") or attempt == START_ATTEMPTS:
                raise
        except BaseException:  # also Ctrl-C: a start that didn't succeed leaves no process behind
            process.end(folder, pid, STOP_DEADLINE_S)
            folder.clear_state()
            raise
    raise AssertionError("unreachable")


def _wait_until_ready(folder: DataFolder, state: ProcessState) -> None:
    """Until this very broker answers a metadata request and lists itself, which it does when it serves clients."""
    bootstrap = f"{config.HOST}:{state.port}"
    cluster_id = folder.cluster_id()
    # Refused connections are expected here: no log lines of them, no growing pauses between them.
    quiet = {"log_level": 0, "error_cb": _tell_nobody, "reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200}
    admin = AdminClient({"bootstrap.servers": bootstrap, **quiet})
    deadline = time.monotonic() + READY_DEADLINE_S
    while time.monotonic() < deadline:
        if not process.is_ours(folder, state.pid):
            raise BrokerDiedError(f"the broker ended before it was ready. {_hint(folder)}{folder.log_excerpt()}")
        try:
            metadata = admin.list_topics(timeout=METADATA_TIMEOUT_S)
            if metadata.cluster_id == cluster_id and config.NODE_ID in metadata.brokers:
                return
        except KafkaException:
            continue
        time.sleep(0.02)
    raise BrokerError(
        f"the broker didn't answer on {bootstrap} within {READY_DEADLINE_S:.0f} s. {folder.log_excerpt()}"
    )


def _hint(folder: DataFolder) -> str:
    if _log_says(folder, "Failed to acquire lock on file .lock"):
        return f"Its data folder {folder.kafka} is in use by another Kafka process: end that one first. "
    if _log_says(folder, "Address already in use"):
        return "Another program took its port: start it again, or with CLICKWAKE_BROKER__PORT=0. "
    return ""


def _log_says(folder: DataFolder, words: str) -> bool:
    return folder.log_file.exists() and words in folder.log_file.read_text("utf-8", errors="replace")


def _ports(wanted: int) -> tuple[int, int]:
    """The clients' port (0: a free one) and a free one for the controller; two different ones."""
    with socket.socket() as clients, socket.socket() as controller:
        clients.bind((config.HOST, 0))
        controller.bind((config.HOST, 0))
        return wanted or clients.getsockname()[1], controller.getsockname()[1]


def _check_free(port: int) -> None:
    # A killed process lets go of its port some 20 ms after it is seen dead.
    deadline = time.monotonic() + PORT_DEADLINE_S
    while port != 0:
        error = _bind_error(port)
        if error is None:
            return
        if time.monotonic() > deadline:
            raise PortTakenError(
                f"can't listen on port {port} of {config.HOST} ({error.strerror}): {process.listener(port)} has it. "
                "End that one, or choose another port with CLICKWAKE_BROKER__PORT=... (0 picks a free one)."
            ) from error
        time.sleep(0.02)


def _bind_error(port: int) -> OSError | None:
    with socket.socket() as probe:
        # As Java does: connections of the last run in TIME_WAIT don't count as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((config.HOST, port))
            probe.listen(1)
        except OSError as error:
            return error
    return None


def _cluster_id() -> str:
    """A random cluster id in Kafka's form, 22 characters of URL-safe base64, none leading with `-` (KAFKA-7192)."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not text.startswith("-"):
            return text


def _tell_nobody(_: object) -> None:
    return
