# Everything here runs in .venv/, which is made on first use. PYTHON=python3.12 make demo picks another Python.

PYTHON ?= python3
# How many tests run at once: they wait more than they compute, a browser excepted. JOBS=0 is one after the other.
JOBS ?= 4
SHELL := bash

VENV := .venv
LOWEST := .venv-lowest
PEERS := .venv-peers
BIN := $(VENV)/bin
PIP := -m pip --disable-pip-version-check --quiet
RUFF := $(BIN)/ruff
# The sessions in the documents are aligned by hand.
FORMAT := $(RUFF) format --extend-exclude '$(VENV)*' --extend-exclude '*.md'
BROWSER := $(wildcard tests/browser)
# Other kernels that the browser tests run a push on: each a folder that lies before the installed packages.
KERNELS := $(wildcard tests/browser/kernels/*.txt)

# Long tests of what no other version of a library changes: the run with today's versions has them.
OF_OURS := test_house test_watchman cluster/test_plan $(addprefix faults/,test_answers test_benchmark test_clocks test_combinations test_kills test_machine)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo lab test lint format types pytest browser lowest faults bench shots clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.runtime  ## run the quickstart against the embedded sandbox; no key, no network
	@$(BIN)/python notebooks/run.py notebooks/quickstart.ipynb --html build

lab: $(VENV)/.runtime  ## open JupyterLab on the quickstart
	@$(BIN)/jupyter lab notebooks/quickstart.ipynb

test: lint types lowest browser pytest  ## every check; the last lines are the tests' own

lint: $(VENV)/.tests  ## ruff: lint and format
	@$(RUFF) check . --extend-exclude '$(VENV)*'
	@$(FORMAT) --check --quiet . || { echo "Not formatted. Hint: make format"; exit 1; }

format: $(VENV)/.tests  ## ruff: bring every file into the house's form
	@$(FORMAT) --quiet .

types: $(VENV)/.tests  ## mypy, strict
	@$(BIN)/mypy

pytest: $(VENV)/.tests  ## tests, notebooks and doctests
	@$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal tests pendosync --doctest-modules --ignore=tests/browser

# Playwright leaves a running event loop in its thread, so it gets a process of its own.
browser: $(VENV)/.tests  ## the widgets in a real browser
	@$(if $(BROWSER),$(BIN)/python -m pytest -q -n $(if $(filter 0 1,$(JOBS)),0,2) tests/browser,echo "No browser tests.")

lowest: $(LOWEST)/.tests  ## the tests again, with the lowest versions allowed
	@$(LOWEST)/bin/python -m pytest -q -n $(JOBS) --dist worksteal tests --ignore=tests/browser $(OF_OURS:%=--ignore=tests/%.py) \
		-p no:cacheprovider

faults: $(VENV)/.tests  ## kills, cuts, full disks and lies: what was lost, sent twice or told wrongly; QUICK=1 for a tenth
	@$(BIN)/python -m benchmarks.faults $(if $(QUICK),--quick)

bench: $(VENV)/.bench $(PEERS)/.peers  ## every benchmark, against what one could pick in its place
	@$(BIN)/python -m benchmarks --all $(if $(QUICK),--quick)

shots: $(VENV)/.tests  ## a picture of each widget, light and dark, into build/shots/
	@bash .ci/chromium
	@PYTHONPATH=. $(BIN)/python tests/browser/shots.py

clean:  ## remove what make made; journals (.pendosync/) and .env stay
	rm -rf $(VENV) $(LOWEST) $(PEERS) build .pytest_cache .mypy_cache .ruff_cache .hypothesis

# A stamp is younger than what it was made from, so a second run starts at once. A folder that an interrupted run
# left behind is made again.
define ensure_venv
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "$(PYTHON) is no Python 3.11 or newer: $$($(PYTHON) --version 2>&1). Hint: make PYTHON=python3.12 …"; exit 1; }
	@$(1)/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Making $(1)/ …"; $(PYTHON) -m venv --clear $(1); }
endef

$(VENV)/.runtime: pyproject.toml constraints.txt
	$(call ensure_venv,$(VENV))
	@echo "Installing pendosync into $(VENV)/ (about half a minute) …"
	@$(BIN)/python $(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.tests: $(VENV)/.runtime $(KERNELS)
	@echo "Installing the test tools into $(VENV)/ (about half a minute) …"
	@$(BIN)/python $(PIP) install -c constraints.txt -e '.[test]'
	@for list in $(KERNELS); do \
		$(BIN)/python $(PIP) install --upgrade --no-deps --target $(VENV)/kernels/$$(basename $$list .txt) -r $$list || exit 1; done
	@touch $@

$(VENV)/.bench: $(VENV)/.tests
	@echo "Installing what draws the benchmarks' pictures into $(VENV)/ …"
	@$(BIN)/python $(PIP) install -c constraints.txt -e '.[bench]'
	@touch $@

$(LOWEST)/.tests: pyproject.toml requirements-lowest.txt
	$(call ensure_venv,$(LOWEST))
	@echo "Installing the lowest versions allowed into $(LOWEST)/ (about half a minute) …"
	@$(LOWEST)/bin/python $(PIP) install -r requirements-lowest.txt
	@$(LOWEST)/bin/python $(PIP) install --no-deps -e .
	@touch $@

# All peers in one environment, which has not pendosync; every version is pinned.
$(PEERS)/.peers: benchmarks/peers/requirements.txt
	$(call ensure_venv,$(PEERS))
	@echo "Installing the peers of the benchmarks into $(PEERS)/ (about a minute) …"
	@$(PEERS)/bin/python $(PIP) install --no-deps -r benchmarks/peers/requirements.txt
	@touch $@
