"""Who may import whom: the contracts of import-linter in pyproject.toml."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


def lint(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", *arguments], cwd=root, capture_output=True, text=True, check=False
    )


def test_all_contracts_are_kept() -> None:
    result = lint()
    assert result.returncode == 0, result.stdout + result.stderr
    assert ", 0 broken" in result.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("streams/contracts/bounds.py", "import streams.scoring", "One way"),
        ("models/interfaces.py", "import streams.contracts", "Models know nothing"),
        ("streams/scoring.py", "import faust", "Faust only"),
        ("streams/features/view.py", "import aiokafka", "The core knows no Kafka"),
    ],
)
def test_an_import_against_them_is_noticed(tmp_path: Path, module: str, line: str, contract: str) -> None:
    """In a copy of the sources with one line more."""
    skip = shutil.ignore_patterns("__pycache__")
    for name in ("streams", "models"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as source:
        source.write(f"\n{line}\n")
    result = lint(root=tmp_path)
    assert result.returncode == 1, result.stdout + result.stderr
    broken = [text for text in result.stdout.splitlines() if text.endswith("BROKEN")]
    assert any(text.startswith(contract) for text in broken), result.stdout
