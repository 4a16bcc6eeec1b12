"""Takes the environments of the engine from the integration tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))

_SPEC = importlib.util.spec_from_file_location(
    "_engine_fixtures", Path(__file__).parents[1] / "integration/conftest.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
_module = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_module)

new_engine = _module.new_engine
