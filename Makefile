# Everything a newcomer or CI needs: Python >= 3.11, make and the package registries.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Many tests wait more than they compute: four keep two cores busy, and more make tests with processes too slow.
WORKERS ?= 4
# Tests that start the sandbox and a browser: they run by themselves. pytest would not ignore a folder that testpaths names.
PAGE_TESTS := tests/browser tests/end_to_end/test_sandbox_page.py
OTHER_TESTS := $(addprefix tests/,benchmarks bots contract core deploy end_to_end faults fuzz) $(addprefix --ignore=,$(PAGE_TESTS))
INSTALLED := $(VENV)/.installed
# Parley without the development tools, which are many times its size.
RUNNABLE := $(VENV)/.runnable
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Hundreds of processes that the tests start would compile these again, where Python is told not to write bytecode.
COMPILE := $(BIN)/python -m compileall -q core bots
BENCHMARKS := $(patsubst tests/benchmarks/%.py,tests.benchmarks.%,$(wildcard tests/benchmarks/bench_*.py))

.PHONY: help install check fast test format reference catalogues coverage mutants chaos fuzz sandbox bench

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## create .venv with everything that development needs

$(RUNNABLE): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -c constraints.txt -e .
	touch $@

$(INSTALLED): $(RUNNABLE)
	$(PIP) --upgrade "pip>=25.1"
	$(PIP) -c constraints.txt --group dev -e .
	touch $@

# $(call step,NAME,COMMAND,FIX) runs one step of `make check`. If it fails, it says which and how to fix it.
define step
@printf '\n== %s\n' "$(1)"
@$(2) || { printf '\nmake check failed: %s. %s\n' "$(1)" "$(3)"; exit 1; }
endef

check: install ## what CI runs: all checks and all tests
	$(call step,format,$(BIN)/ruff format --check .,Run: make format)
	$(call step,lint,$(BIN)/ruff check .,Run: make format; then fix by hand what remains)
	$(call step,types,$(BIN)/mypy,Fix the types that mypy names above)
	$(call step,import contracts,$(BIN)/lint-imports,Move the import: the contracts are in pyproject.toml)
	$(call step,unused code,$(BIN)/vulture && $(BIN)/vulture core bots --exclude bots/sandbox/,Delete it. If a library calls it by name: add the name to tool.vulture in pyproject.toml)
	$(call step,dependencies,$(BIN)/deptry .,Declare what is imported and remove what is not: in pyproject.toml and constraints.txt)
	$(call step,references links and conventions,$(BIN)/pytest -q tests/project,Run: make reference; the failed test above says what else to fix)
	$(call step,translations,$(BIN)/python -m tests.project.catalogues --check,Run: make catalogues; then translate what it prints, in core/i18n/catalogues)
	@$(COMPILE)
	$(call step,tests,$(BIN)/pytest -n $(WORKERS) --dist worksteal --durations=10 $(OTHER_TESTS),Repeat one test: $(BIN)/pytest PATH::NAME)
	$(call step,browser tests,$(BIN)/pytest -n 2 $(PAGE_TESTS),Repeat them one at a time: $(BIN)/pytest tests/browser)
	$(call step,load tests,$(BIN)/pytest tests/load,They need an idle machine: repeat them with $(BIN)/pytest tests/load)

fast: install ## quick tests, in under a minute: no child processes, no PostgreSQL
	$(BIN)/pytest -q -n 2 --dist worksteal --fast

test: install ## all tests
	@$(COMPILE)
	$(BIN)/pytest tests/project
	$(BIN)/pytest -n $(WORKERS) --dist worksteal $(OTHER_TESTS)
	$(BIN)/pytest -n 2 $(PAGE_TESTS)
	$(BIN)/pytest tests/load

format: install ## format the code and fix what the linter can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: install ## write docs/reference and parley.example.toml
	$(BIN)/python -m tests.project.reference

catalogues: install ## bring core/i18n/catalogues up to date; prints what is to translate
	$(BIN)/python -m tests.project.catalogues

coverage: install ## all tests, with the lines they miss
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-report=term:skip-covered

mutants: install ## would the tests notice a defect? (MUTANTS_SEED, MUTANTS_COUNT, MUTANTS_PATH; an hour for 100)
	$(BIN)/python -m tests.mutation

chaos: install ## the fault tests in their long form (CHAOS_TURNS, CHAOS_SEED)
	CHAOS_TURNS=$${CHAOS_TURNS:-2000} $(BIN)/pytest tests/faults -s

fuzz: install ## hostile texts, events and responses (FUZZ_TEXTS, FUZZ_EVENTS, FUZZ_RESPONSES, FUZZ_SEED)
	FUZZ_SEED=$${FUZZ_SEED:-0} FUZZ_TEXTS=$${FUZZ_TEXTS:-100000} \
	FUZZ_EVENTS=$${FUZZ_EVENTS:-10000} FUZZ_RESPONSES=$${FUZZ_RESPONSES:-20000} \
		$(BIN)/pytest tests/fuzz -s --timeout=0

sandbox: $(RUNNABLE) ## try Parley without an account
	$(BIN)/parley sandbox

bench: install ## benchmarks: ratios, no assertions
	@for benchmark in $(BENCHMARKS); do printf '\n== %s\n' $$benchmark; $(BIN)/python -m $$benchmark || exit 1; done
