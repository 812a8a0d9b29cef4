# make demo    set up .venv, build, fine-tune the bundled model on a bundled dataset, show one prompt before and after
# make test    set up .venv with the test extras and run the tests (offline, no torch)
# make parity, make conformance, make hostile, make lint, make sanitize, make docs, make bench-kernels: see CONTRIBUTING.md

PYTHON ?= python3
VENV   ?= .venv
MINUTES ?= 10
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet
SOURCES := $(shell find native -type f)
NATIVE := CMakeLists.txt pyproject.toml $(SOURCES)
LLAMA  := llama-cpp-python==0.3.36

.PHONY: install demo test parity conformance hostile lint format sanitize docs bench-kernels clean
.DELETE_ON_ERROR:

install: $(VENV)/.localft

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "localft needs Python 3.10 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# llama-cpp-python comes as source: its build takes a few minutes the first time, and pip keeps the result.
$(VENV)/.llama: $(VENV)/.python Makefile
	@$(BIN)/python -c 'import importlib.metadata as m, sys; sys.exit(m.version("llama-cpp-python") != "$(LLAMA)".split("==")[1])' 2>/dev/null || echo "Building $(LLAMA) (a few minutes, once) ..."
	$(PIP) "$(LLAMA)" "scikit-build-core>=0.10" "nanobind>=2.4" "cmake>=3.21" ninja
	@touch $@

$(VENV)/.localft: $(VENV)/.llama $(NATIVE)
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(VENV)/.test $(VENV)/.parity $(VENV)/.lint: $(VENV)/.%: $(VENV)/.localft
	$(PIP) --no-build-isolation --editable ".[$*]"
	@touch $@

demo: install
	$(BIN)/python -m localft.demo

test: $(VENV)/.test
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

parity: $(VENV)/.test $(VENV)/.parity
	$(BIN)/python -m pytest -m parity

conformance: $(VENV)/.test
	$(BIN)/python tests/conformance/setup.py
	$(BIN)/python -m pytest -m conformance

hostile: $(VENV)/.test
	cd tests && ../$(BIN)/python -m hostile.faults
	cd tests && ../$(BIN)/python -m hostile.campaign --minutes $(MINUTES)

lint: $(VENV)/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(SOURCES)

format: $(VENV)/.lint
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/clang-format -i $(SOURCES)

bench-kernels: install
	$(BIN)/python benchmarks/kernels.py

clean:
	rm -rf $(VENV) build

docs: install
	$(BIN)/python docs/make_docs.py

sanitize: $(VENV)/.test
	sh tests/native/sanitize.sh -q
