"""Result files: what was measured, on which machine, with which versions, by which command."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import psutil

from streams.ops.clock import SystemClock

RESULTS = Path(__file__).parent / "results"
_LIBRARIES = ("aiokafka", "faust-streaming", "msgspec", "numpy", "orjson", "river", "uvloop")


def finish(name: str, command: str, seeds: list[int], measured: Any, *, dry: bool) -> None:
    """Print the result, and write `results/YYYY-MM-name.json` over the one of the same month unless `dry`."""
    now = datetime.fromtimestamp(SystemClock().now_ms() / 1000, UTC)
    content = {
        "bench": name,
        "date": f"{now:%Y-%m-%d}",
        "command": command,
        "seeds": seeds,
        "machine": machine(),
        "versions": {"clickwake": version("clickwake"), "python": platform.python_version()}
        | {library: version(library) for library in _LIBRARIES},
        "measured": msgspec.to_builtins(measured),
    }
    text = msgspec.json.format(msgspec.json.encode(_rounded(content)), indent=2)
    print(text.decode())
    if not dry:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{now:%Y-%m}-{name}.json").write_bytes(text + b"\n")


def machine() -> dict[str, Any]:
    """`load_1m`: how busy the machine was otherwise, runnable processes, mean of a minute."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_1m": os.getloadavg()[0],
    }


def pin(core: int) -> None:
    """This process and its threads to one core."""
    os.sched_setaffinity(0, {core})


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _rounded(value: Any) -> Any:
    """Six significant digits: more would claim a precision that no run has."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(part) for part in value]
    return value
