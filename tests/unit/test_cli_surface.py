"""The command line as a user meets it: help, usage errors, exit codes, and that help stays quick."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import streams.broker
from streams import __version__
from streams.broker import BrokerError, BrokerInfo, DependencyUnreachableError
from streams.cli import context, main
from streams.ops.cluster import KafkaUnreachableError
from streams.ops.settings import Settings

COMMANDS = ("broker", "demo", "doctor", "produce", "topics", "watch", "worker")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No local broker of the developer may answer."""
    monkeypatch.chdir(tmp_path)


def _run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(args)
    told = capsys.readouterr()
    return int(left.value.code or 0), told.out, told.err


def test_help_lists_every_command_and_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "--help")
    assert code == 0
    listed = [line.split()[0] for line in out[out.index("Commands:") :].splitlines()[1:] if line.startswith("  ")]
    assert set(COMMANDS) <= set(listed)
    assert "Exit codes: 0 ok" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, command, "--help")
    assert code == 0
    assert f"clickwake {command}" in out


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "--version") == (0, f"clickwake {__version__}\n", "")


def test_help_loads_nothing_heavy() -> None:
    heavy = ["pydantic", "kafka", "confluent_kafka", "faust", "river", "numpy", "rich", "structlog", "msgspec"]
    code = (
        "import sys\n"
        "from streams.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["worker", "--role", "boss"],
        ["worker", "--exit-when-idle", "-1"],
        ["produce"],
        ["produce", "simulator:clean", "--rate", "5", "--speed", "2"],
        ["produce", "simulator:clean", "--rate", "0"],
        ["watch", "nowhere"],
        ["broker", "start", "--port", "70000"],
    ],
)
def test_wrong_usage_leaves_with_2_and_says_how(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = _run(capsys, *args)
    assert (code, out) == (2, "")
    assert "Usage: clickwake" in err


def test_an_unknown_source_is_wrong_usage_and_lists_the_formats(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLICKWAKE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    for source in ("nonsense:x", "jsonl:/does/not/exist", "simulator:conversion?speed=7"):
        code, _, err = _run(capsys, "produce", source)
        assert code == 2, source
        assert "SOURCE" in err


def test_a_wrong_setting_is_named_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLICKWAKE_KAFKA__PARTITIONS", "many")
    code, out, err = _run(capsys, "topics", "plan")
    assert (code, out) == (2, "")
    assert err.startswith("clickwake: setting kafka.partitions: ")
    assert "CLICKWAKE_KAFKA__PARTITIONS" in err
    code, out, _ = _run(capsys, "doctor", "--json")
    assert code == 1
    assert json.loads(out)["checks"][0]["state"] == "failed"


@pytest.mark.parametrize("command", [["topics", "plan"], ["watch"], ["worker"], ["produce", "simulator:clean"]])
def test_without_any_broker_commands_leave_with_3_and_the_two_ways_out(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = _run(capsys, *command)
    assert (code, out) == (3, "")
    assert "clickwake broker start" in err
    assert "CLICKWAKE_KAFKA__BOOTSTRAP" in err
    assert "Traceback" not in err


def test_the_doctor_without_a_broker_still_tells_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = _run(capsys, "doctor", "--json", "--settings")
    found = json.loads(out)
    assert code == 3
    assert {check["name"]: check["state"] for check in found["checks"]} == {
        "settings": "ok",
        "broker": "failed",
        "topics": "skipped",
        "model store": "ok",
        "clock": "skipped",
    }
    assert found["settings"]["kafka.partitions"] == "4"


def test_the_doctor_leaves_no_trace_where_models_would_go(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    _run(capsys, "doctor")
    assert list(tmp_path.rglob("*")) == []


def test_the_doctor_finds_a_store_that_cannot_be_a_folder(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("here")
    monkeypatch.setenv("CLICKWAKE_MODEL__STORE", str(tmp_path / "file"))
    _, out, _ = _run(capsys, "doctor", "--json")
    store = next(check for check in json.loads(out)["checks"] if check["name"] == "model store")
    assert store["state"] == "failed"
    assert "CLICKWAKE_MODEL__STORE" in store["repair"]


def _info(tmp_path: Path) -> BrokerInfo:
    return BrokerInfo("127.0.0.1:9999", 9999, 42, "4.0.2", tmp_path, tmp_path / "log", 321.04)


def test_the_set_cluster_goes_before_the_local_broker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(streams.broker, "status", lambda _: _info(tmp_path))
    assert context.bootstrap_of(Settings()) == "127.0.0.1:9999"
    assert context.with_bootstrap(Settings()).kafka.bootstrap == "127.0.0.1:9999"
    monkeypatch.setenv("CLICKWAKE_KAFKA__BOOTSTRAP", "kafka:9092")
    assert context.bootstrap_of(Settings()) == "kafka:9092"
    monkeypatch.delenv("CLICKWAKE_KAFKA__BOOTSTRAP")
    monkeypatch.setattr(streams.broker, "status", lambda _: None)
    with pytest.raises(KafkaUnreachableError):
        context.bootstrap_of(Settings())


def test_broker_commands_print_data_on_stdout_and_steps_on_stderr(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[Any] = []

    def start(settings: Any, *, fresh: bool, on_progress: Any) -> BrokerInfo:
        asked.append((settings.port, fresh))
        on_progress("fetching [jars]")
        return _info(tmp_path)

    monkeypatch.setattr(streams.broker, "start", start)
    code, out, err = _run(capsys, "broker", "start", "--port", "0", "--fresh", "--json")
    assert (code, asked) == (0, [(0, True)])
    assert json.loads(out)["bootstrap"] == "127.0.0.1:9999"
    assert err == "fetching [jars]\n"
    monkeypatch.setattr(streams.broker, "status", lambda _: _info(tmp_path))
    assert _run(capsys, "broker", "status")[1].startswith("Kafka 4.0.2 on 127.0.0.1:9999 (process 42, 321 MiB)")


def test_broker_status_without_one_is_a_failed_check_and_stop_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "broker", "status", "--json")[:2] == (1, '{"running":false}\n')
    assert _run(capsys, "broker", "stop", "--json")[:2] == (0, '{"stopped":false}\n')


@pytest.mark.parametrize(
    ("error", "code"), [(BrokerError("no folder"), 1), (DependencyUnreachableError("no network"), 3)]
)
def test_errors_of_the_broker_are_one_paragraph(
    error: BrokerError, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(*_: Any, **__: Any) -> BrokerInfo:
        raise error

    monkeypatch.setattr(streams.broker, "start", start)
    assert _run(capsys, "broker", "start") == (code, "", f"clickwake: {error}\n")


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any, **__: Any) -> BrokerInfo:
        raise ZeroDivisionError

    monkeypatch.setattr(streams.broker, "start", start)
    with pytest.raises(ZeroDivisionError):
        main(["broker", "start"])


def _stand_in(monkeypatch: pytest.MonkeyPatch, parent: str, name: str, run: Any) -> None:
    module = ModuleType(f"{parent}.{name}")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, f"{parent}.{name}", module)
    monkeypatch.setattr(sys.modules[parent], name, module, raising=False)


def test_the_worker_gets_role_idle_limit_and_address_and_its_exit_code_is_ours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def run(settings: Settings, role: str, *, exit_when_idle_s: float | None) -> int:
        asked.append((settings.kafka.bootstrap, role, exit_when_idle_s))
        return 3

    import streams.engine  # noqa: F401  the stand-in is its child

    _stand_in(monkeypatch, "streams.engine", "worker", run)
    monkeypatch.setattr("streams.ops.cluster.admin_client", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr("streams.ops.topics.require", lambda *_: None)
    monkeypatch.setenv("CLICKWAKE_KAFKA__BOOTSTRAP", "kafka:9092")
    assert _run(capsys, "worker", "--role", "learn", "--exit-when-idle", "2.5")[0] == 3
    assert _run(capsys, "worker")[0] == 3
    assert asked == [("kafka:9092", "learn", 2.5), ("kafka:9092", "all", None)]


def test_the_demo_passes_its_options(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def run(settings: Settings, **options: Any) -> int:
        asked.append(options)
        return 0

    _stand_in(monkeypatch, "streams", "demo", run)
    assert _run(capsys, "demo", "--seconds", "30", "--headless")[0] == 0
    assert asked == [{"seconds": 30.0, "headless": True, "keep": False}]


def test_no_color_is_respected_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    assert context.stdout().no_color
    monkeypatch.delenv("NO_COLOR")
    assert not context.stdout().no_color


def test_a_reader_that_goes_away_early_is_no_traceback(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "streams", "doctor", "--settings", "--json"]
    with os.fdopen(writer, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, cwd=tmp_path)
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
