# Two commands do all set-up on a bare machine (Python 3.11+, pip, gcc): make demo, make test.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
WORKERS ?= 2

.PHONY: help demo test test-slow test-scatter lint format bench gpu clean
.DEFAULT_GOAL := help

help:
	@echo "make demo          environment, install, embed and judge a real graph, write a report"
	@echo "make test          environment, lint, types, doctests, tests"
	@echo "make test-slow     the checks that need minutes or the data root (GRAPHREP_DATA=...)"
	@echo "make test-scatter  builds torch_scatter from source and runs its oracle tests"
	@echo "make bench         measures against the peers and redraws the README tables"
	@echo "make gpu           checks and measures the CUDA kernels; PYTHON=... names an environment with torch and Triton"
	@echo "make clean         removes environment and caches"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing graphrep (a few minutes the first time: torch is large)"
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-test: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing graphrep with what the tests need (a few minutes the first time: torch is large)"
	$(PIP) -e ".[test]"
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-scatter: $(VENV)/.installed-test
	@echo "building torch_scatter from source (several minutes)"
	$(PIP) setuptools wheel ninja
	$(PIP) --no-build-isolation torch_scatter
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/graphrep demo

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile --doctest-modules graphrep tests

test-slow: $(VENV)/.installed-test
	$(BIN)/python -m pytest -q -m slow tests

test-scatter: $(VENV)/.installed-scatter
	$(BIN)/python -m pytest -q -m scatter tests

format: $(VENV)/.installed-test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-test
	$(PIP) setuptools wheel ninja
	$(PIP) --no-build-isolation -r benchmarks/requirements.txt
	$(BIN)/python -m benchmarks.run all
	$(BIN)/python -m benchmarks.table README.md

# Installs nothing: PYTHON is an environment that has torch and Triton already, and the checkout is used as it is.
gpu:
	$(PYTHON) -m benchmarks.gpu $(GPU_OPTIONS)

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
