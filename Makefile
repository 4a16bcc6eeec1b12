# Two commands on a fresh machine with Python 3.11+, make and git: `make demo` and `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test slow check format bench lock schemas clean

help:            ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

setup: $(VENV)/.installed   ## virtual environment from the lock files

# uv comes from pip, by hash; then it installs the rest in seconds.
$(VENV)/.installed: requirements.lock requirements-setup.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Clickwake needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup      ## broker, simulated shop, workers and a live view; Ctrl-C cleans up
	@$(BIN)/clickwake demo $(ARGS)

test: setup check   ## all checks and tests
	$(BIN)/python -m pytest $(ARGS)

slow: setup      ## the tests that take longest: faults, the whole demo, quality
	$(BIN)/python -m pytest -m slow $(ARGS)

check: setup     ## lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup    ## format and sort imports
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: setup     ## benchmarks; results go to tests/bench/results
	$(BIN)/python -m tests.bench $(ARGS)

schemas: setup   ## write the generated JSON Schemas anew
	$(BIN)/python -m streams.contracts.schemas

lock: setup      ## resolve dependencies anew; no index address ends in the files
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate --generate-hashes \
	  --extra test pyproject.toml --output-file requirements.lock --upgrade

clean:           ## remove what was made here; stops the local broker
	-$(BIN)/clickwake broker stop
	rm -rf $(VENV) .clickwake .mypy_cache .ruff_cache .import_linter_cache .hypothesis
