# The words of this project: make demo, test, test-all, check, simulate. CI says the same ones (.ci/run).
.PHONY: .venv demo test test-all check simulate bench lock

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.venv: $(STAMP)

$(STAMP): requirements-dev.lock pyproject.toml
	@if command -v uv >/dev/null; then set -ex; \
	  [ -x $(BIN)/python ] || uv venv --quiet .venv; \
	  uv pip install --quiet --python $(BIN)/python -r requirements-dev.lock; \
	  uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else set -ex; \
	  $(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.x")'; \
	  [ -x $(BIN)/pip ] || $(PYTHON) -m venv .venv; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $@

demo: .venv
	@$(BIN)/standpipe demo

test: .venv
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-all: .venv
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: .venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest tests/test_tidy.py

SEEDS ?= 300
simulate: .venv
	$(BIN)/standpipe simulate --seeds $(SEEDS)

# Some ten minutes, on a machine that does nothing else; writes bench/RESULTS.md.
bench: .venv
	$(BIN)/python -m bench.results

# The newest versions of everything that pyproject.toml names, tried together.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet ".[dev]"
	(echo "# Made by make lock; changed by nobody."; build/lock/bin/pip freeze --exclude standpipe) > requirements-dev.lock
