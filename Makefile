# Everything a newcomer or CI needs: Python >= 3.11, make and the package registries.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help install check format lint test coverage chaos sandbox

help:
	@echo "make sandbox  see the whole product without any account"
	@echo "make test     run the tests"
	@echo "make coverage run them and tell which lines they miss"
	@echo "make chaos    the fault tests in their long form (CHAOS_TURNS, CHAOS_SEED)"
	@echo "make check    what CI runs: format, lint, types, import contract, tests"
	@echo "make format   mend what can be mended by itself"

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --group dev -e .
	touch $@

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -n 2
	$(BIN)/pytest tests/load

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: install
	$(BIN)/pytest -n 2
	$(BIN)/pytest tests/load

coverage: install
	$(BIN)/pytest -n 2 --cov --cov-report=term:skip-covered

chaos: install
	CHAOS_TURNS=$${CHAOS_TURNS:-2000} $(BIN)/pytest tests/faults -s

sandbox: install
	$(BIN)/parley sandbox
