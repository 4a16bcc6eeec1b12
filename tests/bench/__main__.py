"""Benchmarks and the quality report: `python -m tests.bench [core|quality|worker] [options]`; all of them without a
name. Results go to `tests/bench/results`."""

from __future__ import annotations

import sys

from tests.bench import core, quality, worker

BENCHES = {"core": core.main, "quality": quality.main, "worker": worker.main}


def main() -> None:
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if name in BENCHES:
        BENCHES[name](arguments)
    elif name:
        sys.exit(f"no benchmark {name!r}; there are: {', '.join(BENCHES)}")
    else:
        for bench in BENCHES.values():
            bench([])


if __name__ == "__main__":
    main()
