# `make` lists the targets. Everything is installed below this folder, from hash-locked lists, and a second run is quick.
# Paths are relative on purpose: the folder may have spaces in its name.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PYTHON ?= python3
# Test processes side by side; JOBS=0 runs them in one, for a debugger.
JOBS ?= 2
PYTEST_ARGS ?=
# How much of the long sizes `make nightly` takes, and never less than every run does.
SCALE ?= 1
BENCH_ARGS ?=
# How many seeds `make differential` takes, with how many requests each; SEED=N names the first one. AGAINST names the
# servers: stock (ours and a stock one), self (two of ours), postgres (ours on either database), peers (two stock ones).
AGAINST ?= stock
SEEDS ?= 1
CALLS ?= 20000
SEED ?=
UPGRADE ?=
NO_APT ?=
DEBIAN_PACKAGES := chromium spin strace faketime postgresql e2fsprogs

BIN := .venv/bin
SYNC := $(BIN)/uv pip sync --quiet --require-hashes
# No build isolation: what builds us comes from the lock, so this works off line and always the same way.
SELF := $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
PYTEST := $(BIN)/python -m pytest
# A test that hangs shows where. Ending it there would end the worker, and the runner does not always survive that.
GUARD := -o faulthandler_timeout=300

# The interpreter is the one named above: uv fetches none, and no environment of the caller gets in the way.
export UV_PYTHON_DOWNLOADS := never
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: help
help: ## List the targets
	@echo 'Greenroom. Targets:'
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo 'Variables: PYTHON=$(PYTHON) JOBS=$(JOBS) PYTEST_ARGS= BENCH_ARGS= UPGRADE=1 (lock) NO_APT=1 (install no Debian package)'

.PHONY: test
test: install lint ## Install what is missing, check everything that CI checks, run the tests
	$(PYTEST) -m 'not nightly' -n $(JOBS) --dist loadfile $(GUARD) $(PYTEST_ARGS)

.PHONY: unit
unit: .venv/.self ## Run the quick tests only (no MLflow, no browser, nothing slow)
	$(PYTEST) -m 'not (nightly or slow or mlflow or browser)' -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

.PHONY: lint
lint: .venv/.self ## Check style, format, types and import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: .venv/.self ## Put the code into the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: demo
demo: .venvs/mlflow3/.self ## Tell the main story with real models on a real server (DEMO_EXIT=1 ends it)
	.venvs/mlflow3/bin/python demo/run.py

.PHONY: bench
bench: .venv/.self .venvs/mlflow3/.self ## Measure side by side with a stock MLflow server
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

.PHONY: differential
differential: .venv/.self .venvs/mlflow3/.self ## Send random requests to a stock MLflow server and to ours, compare (AGAINST=, SEEDS=, CALLS=)
	$(BIN)/python -m tests.differential.run --against $(AGAINST) --seeds $(SEEDS) --calls $(CALLS) $(if $(SEED),--seed $(SEED))

.PHONY: nightly
nightly: install ## Run the long form of every test (many hours; SCALE=0.02 for a part of it) and write its figures down
	GREENROOM_NIGHTLY=$(SCALE) GREENROOM_FIGURES=docs/figures/nightly.json $(PYTEST) -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

.PHONY: docs
docs: .venv/.self ## Write the generated pages of docs/
	$(BIN)/python tools/generate.py

.PHONY: lock
lock: .venv/.uv ## Lock the dependencies anew (UPGRADE=1: to the newest versions)
	tools/lock.sh $(if $(UPGRADE),--upgrade)

.PHONY: install
install: .venv/.self .venvs/mlflow3/.self .venvs/mlflow2/.self .venvs/frameworks/.torch ## Install everything that the tests need
ifndef NO_APT
	@tools/apt.sh $(DEBIAN_PACKAGES)
endif

.PHONY: clean
clean: ## Remove what was installed and built here
	rm -rf .venv .venvs build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments: a stamp is newer than what it was made from -----------------------------------------------------

.venv/.uv: requirements/tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'Greenroom needs Python 3.11 or newer; "$(PYTHON)" is not. Name one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@[ -x $(BIN)/python ] || { echo 'Making .venv'; $(PYTHON) -m venv .venv; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/tools.txt
	@touch $@

.venv/.dev: .venv/.uv requirements/dev.txt
	@echo 'Installing requirements/dev.txt into .venv'
	@$(SYNC) --python $(BIN)/python requirements/dev.txt
	@touch $@

.venv/.self: .venv/.dev pyproject.toml src/greenroom/_version.py
	@$(SELF) --python $(BIN)/python
	@touch $@

.venvs/%/.lock: requirements/%.txt | .venv/.uv
	@echo 'Installing $< into .venvs/$*'
	@[ -x .venvs/$*/bin/python ] || $(BIN)/uv venv --quiet --python $(BIN)/python .venvs/$*
	@$(SYNC) --python .venvs/$*/bin/python $<
	@touch $@

.venvs/%/.self: .venvs/%/.lock pyproject.toml src/greenroom/_version.py
	@$(SELF) --python .venvs/$*/bin/python
	@touch $@

# After the lock, whose installation takes away what it does not name.
.venvs/frameworks/.torch: .venvs/frameworks/.self requirements/torch.txt tools/torch.sh
	@echo 'Installing requirements/torch.txt into .venvs/frameworks'
	@tools/torch.sh .venvs/frameworks/bin/python
	@touch $@

.PRECIOUS: .venvs/%/.lock .venvs/%/.self
