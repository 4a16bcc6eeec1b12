"""The demo as a user meets it: one command that works, tells the truth, and leaves nothing behind however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka.admin import AdminClient
from engine_driver import wait_for

_MARK = "CLICKWAKE_ENGINE__APP_ID"


class Demo:
    """`clickwake demo` in an empty folder; every process that descends from it carries a mark in its environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = f"demo{uuid.uuid4().hex[:8]}"
        self.process: subprocess.Popen[str] | None = None

    def start(self, *args: str, bootstrap: str | None = None) -> Demo:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CLICKWAKE_")}
        environment[_MARK] = self.mark
        if bootstrap is not None:
            environment["CLICKWAKE_KAFKA__BOOTSTRAP"] = bootstrap
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streams", "demo", "--headless", *args],
            cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def end(self, within_s: float = 150.0) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        assert self.process is not None
        out, err = self.process.communicate(timeout=within_s)
        return self.process.returncode, out, err

    def processes(self) -> list[psutil.Process]:
        """Those that live and carry the mark."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def wait_gone(self) -> None:
        wait_for("all processes of the demo have ended", lambda: not self.processes(), 60.0, 0.5)

    def command_lines(self) -> str:
        lines = []
        for process in self.processes():
            try:
                lines.append(" ".join(process.cmdline()))
            except psutil.Error:
                continue
        return "\n".join(lines)

    def wait_worker(self) -> None:
        """Until both roles of the worker have started."""
        log = self.folder / ".clickwake/demo/worker.log"
        wait_for("the worker starts", lambda: log.exists() and log.read_text().count('"worker starts"') == 2, 120.0)

    def left(self) -> list[str]:
        """Files below the folder."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    demo = Demo(tmp_path)
    yield demo
    for process in demo.processes():  # only of a test that failed
        process.kill()
    if demo.process is not None and demo.process.poll() is None:
        demo.process.kill()
        demo.process.communicate()


def _summary(out: str) -> dict[str, Any]:
    (line,) = out.splitlines()
    decoded: dict[str, Any] = json.loads(line)
    return decoded


@pytest.mark.broker
def test_one_command_on_an_empty_folder_predicts_and_leaves_nothing_behind(demo: Demo) -> None:
    code, out, err = demo.start("--seconds", "12").end()
    assert code == 0, err
    result = _summary(out)
    assert result["ok"]
    assert all(result["checks"].values())
    assert result["worker_exit_code"] == 0
    assert result["conversions"]["count"] > 0
    assert result["recommendations"]["count"] > result["recommendations"]["empty"]
    assert set(result["rejected"]) <= {"from_future", "not_json", "invalid_field", "key_mismatch"}
    assert result["delay_ms"]["p50"] <= result["delay_ms"]["p99"]
    assert "retrieval" in result["models"]
    assert "conversions" in err, "progress is told on stderr"
    assert demo.processes() == []
    assert demo.left() == []


@pytest.mark.broker
@pytest.mark.slow
def test_on_a_given_cluster_it_deletes_its_own_topics_and_groups_and_no_others(
    demo: Demo, broker: str, topic_prefix: str, kafka_topics: object
) -> None:
    admin = AdminClient({"bootstrap.servers": broker, "log_level": 0})

    def names() -> tuple[set[str], set[str]]:
        groups = admin.list_consumer_groups().result(20).valid
        topics = {name for name in admin.list_topics(timeout=10).topics if not name.startswith("__")}  # Kafka's own
        return topics, {group.group_id for group in groups}

    topics_before, groups_before = names()
    assert any(name.startswith(topic_prefix) for name in topics_before)
    demo.start("--seconds", "3", bootstrap=broker)
    wait_for("its topics are there", lambda: any(name.startswith("demo.") for name in names()[0]), 60.0)
    code, out, err = demo.end()
    assert code == 0, err
    assert _summary(out)["ok"]
    wait_for("its topics and groups are gone", lambda: names() == (topics_before, groups_before) or None, 20.0)
    assert demo.processes() == []
    assert demo.left() == []


@pytest.mark.broker
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_end_while_the_worker_starts_it_cleans_up(demo: Demo, broker: str, number: signal.Signals) -> None:
    demo.start(bootstrap=broker)
    wait_for("the worker is there", lambda: "streams worker" in demo.command_lines(), 60.0)
    assert demo.process is not None
    demo.process.send_signal(number)
    code, out, err = demo.end()
    assert (code, out) == (130, ""), err
    assert "interrupted before the shop opened" in err
    assert demo.processes() == []
    assert demo.left() == []


@pytest.mark.broker
@pytest.mark.slow
def test_killed_outright_it_leaves_no_process_no_broker_and_no_data(demo: Demo) -> None:
    demo.start()
    demo.wait_worker()
    assert "kafka.Kafka" in demo.command_lines()
    assert demo.process is not None
    demo.process.kill()
    demo.end()
    demo.wait_gone()
    assert demo.left() == []


@pytest.mark.broker
@pytest.mark.slow
def test_a_worker_that_dies_is_told_of_with_the_end_of_its_log_and_where_that_is(demo: Demo, broker: str) -> None:
    demo.start(bootstrap=broker)
    demo.wait_worker()
    _kill(demo, lambda line: line.endswith("worker --role all"))
    code, _, err = demo.end()
    log = demo.folder / ".clickwake/demo/worker.log"
    assert code == 1, err
    assert "ended by itself with signal 9" in err
    assert str(log) in err
    assert '"worker starts"' in err
    assert "Traceback" not in err
    demo.wait_gone()
    assert demo.left() == [".clickwake/demo/worker.log"]


def _kill(demo: Demo, chosen: Callable[[str], bool]) -> None:
    for process in demo.processes():
        if chosen(" ".join(process.cmdline())):
            process.kill()
            return
    raise AssertionError(f"no such process among: {demo.command_lines()}")


def test_a_cluster_that_does_not_answer_is_said_at_once_and_nothing_is_touched(demo: Demo) -> None:
    begun_s = time.monotonic()
    code, out, err = demo.start("--seconds", "1", bootstrap="127.0.0.1:1").end()
    assert (code, out) == (3, "")
    assert "no Kafka broker answers" in err
    assert "Traceback" not in err
    assert time.monotonic() - begun_s < 30
    assert list(demo.folder.iterdir()) == []


@pytest.mark.broker
@pytest.mark.slow
def test_what_was_asked_to_be_kept_can_be_watched_afterwards_and_stopped(demo: Demo) -> None:
    code, _, err = demo.start("--seconds", "2", "--keep").end()
    assert code == 0, err
    assert "streams worker" not in demo.command_lines()
    commands = [line.strip() for line in err.splitlines() if line.startswith("    CLICKWAKE_")]
    assert len(commands) == 2
    clickwake = f"{sys.executable} -m streams"
    watch, stop = (command.replace(" clickwake ", f" {clickwake} ") for command in commands)
    seen = subprocess.run(
        f"{watch} --limit 5 --timeout 20 --json", shell=True, cwd=demo.folder, capture_output=True, text=True,
        timeout=60, check=True,
    )  # fmt: skip
    assert len(seen.stdout.splitlines()) == 5
    subprocess.run(stop, shell=True, cwd=demo.folder, capture_output=True, timeout=60, check=True)
    demo.wait_gone()
