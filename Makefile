# TERAPIX: `make run` shows a night, `make test` proves it works.
SHELL  := /bin/bash
PYTHON ?= python3
VENV   := .venv
FRAMES ?= 100000
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet
export TERAPIX_ETC := $(CURDIR)/etc
PARTS  := kernels-frames kernels-catalogues kernels-painting

.PHONY: run test test-dachs kernels $(PARTS) lint bench soak lock help clean check-python

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## */\t/' | expand -t 12

run: $(VENV)/.installed  ## install what is pinned, then run the demo night: painted MegaCam frames through the whole chain
	$(BIN)/terapix demo

test: $(VENV)/.testing  ## all tests: unit, store, flow, reference, architecture
	$(MAKE) -j2 kernels
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --ignore=tests/dachs $(TESTS)

kernels: $(PARTS)  ## compile what tests will call into the cache that they share; with -j2 on two cores
	NUMBA_CACHE_DIR=$(CURDIR)/.numba $(BIN)/python -m processing.kernels.compile
	NUMBA_CACHE_DIR=$(CURDIR)/.numba $(BIN)/python -m processing.sources.warming

$(PARTS): kernels-%: $(VENV)/.testing
	NUMBA_CACHE_DIR=$(CURDIR)/.numba $(BIN)/python -c 'from processing.kernels.compile import PARTS, warm; warm(tasks=PARTS["$*"])'

test-dachs: $(VENV)/.testing  ## the archive clients against a real DaCHS (apt-get install gavodachs2-server), about two minutes
	$(BIN)/python -m pytest -v tests/dachs

lint: $(VENV)/.testing  ## ruff and mypy, both strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.testing  ## measure ours beside the peers; the table goes to benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py

soak: $(VENV)/.testing  ## FRAMES=100000 small frames through SNOOPPIX while the archive commits every fault; takes long
	$(BIN)/python benchmarks/soak.py --frames $(FRAMES)

lock: $(VENV)/bin/python  ## pin the newest versions again (maintainers)
	$(PIP) install uv
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade \
	    pyproject.toml - -o requirements.lock <<< setuptools
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --upgrade \
	    --extra test -c requirements.lock pyproject.toml - -o requirements-test.lock <<< setuptools

clean:  ## remove what make run and make test left, the demo's frames included
	rm -rf $(VENV) build *.egg-info demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

check-python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "make: Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1): make PYTHON=python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: venv is missing: apt-get install python3-venv"; exit 1; }

$(VENV)/bin/python: | check-python
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what requirements.lock pins into $(VENV) …"
	$(PIP) install --require-hashes --no-deps -r requirements.lock
	$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/.testing: requirements-test.lock $(VENV)/.installed
	$(PIP) install --require-hashes --no-deps -r requirements-test.lock
	@touch $@
