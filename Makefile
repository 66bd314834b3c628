# One-word commands. Every target first makes sure of .venv, which costs nothing when it is up to date.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:

# A caller's Python settings must not decide which code runs here.
unexport PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONWARNINGS PYTHONOPTIMIZE PYTHONSAFEPATH
unexport VIRTUAL_ENV MYPYPATH PYTEST_ADDOPTS PYTEST_PLUGINS RUFF_CONFIG NUMBA_DISABLE_JIT
unexport PIP_TARGET PIP_USER PIP_PREFIX PIP_REQUIRE_VIRTUALENV PIP_CONSTRAINT PIP_NO_DEPS PIP_DRY_RUN

PYTHON := $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: help setup demo test check bench storm realism oracle clean

help:
	@echo 'make setup   create .venv from requirements.lock and install the project into it'
	@echo 'make demo    a winter evening, 10,000 homes, picture and pounds'
	@echo 'make test    check, then every test'
	@echo 'make check   ruff, mypy and the import contracts'
	@echo 'make bench   speed of the engine on this machine'
	@echo 'make realism the models held against published figures: docs/realism.md'
	@echo 'make storm   every fault on, 2,000 worlds, invariants watching'
	@echo 'make oracle  settlement against a slow, plain calculator, on thousands of portfolios'
	@echo 'make clean   remove .venv and the caches'

setup: $(STAMP)

# The stamp is a copy of the lock, written last: an interrupted install is done again from the start, and a change of
# pyproject.toml alone reinstalls only the project.
$(STAMP): requirements.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'no python3.11 or python3 on PATH' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo 'flextwin needs Python 3.11 or later; found $(PYTHON)' >&2; exit 1; }
	cmp -s requirements.lock $(STAMP) || { \
		'$(PYTHON)' -m venv --clear .venv \
		&& $(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock; }
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@cp requirements.lock $(STAMP)

demo: setup
	$(BIN)/flextwin demo

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile

bench: setup
	$(BIN)/python -m studies.bench

oracle: setup
	$(BIN)/python -m pytest tests/oracle --hypothesis-profile=thousands --timeout=3600

realism: setup
	$(BIN)/flextwin realism

storm: setup
	$(BIN)/python -m studies.storm --worlds 2000

clean:
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
