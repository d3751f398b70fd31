.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
ROOMS := corelib contracts svc-user svc-product svc-order svc-payment fn-notify job-analytics devstack bench iac
TESTS = $(wildcard $(ROOMS:%=%/tests) $(ROOMS:%=%/tests_real)) tests

# Half of what a service takes to start is compiling it: done once, and kept out of the sources.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/compiled

export ANALYTICS ?= 1
export IAC ?= 0
export BASKETS ?= 1000
export RATE ?= 0
export STAY ?= 1
export QUICK ?= 0
ifdef KAFKA
export SOUK_KAFKA_BOOTSTRAP := $(KAFKA)
endif

.PHONY: help demo demo-crash test test-crash model test-iac check up down status logs reset audit bench bench-gate lock schemas

help: ## List the targets, a line each
	@grep -hE '^[a-z-]+%?:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

demo: $(VENV)/.ready ## Run the whole shop on real baskets, then prove nothing went missing (BASKETS= RATE= STAY=0 ANALYTICS=0)
	@$(BIN)/python -m devstack demo

demo-crash: $(VENV)/.ready ## The demo, with kill -9 of each service and of the relays during the replay
	@$(BIN)/python -m devstack demo --crash

test: $(VENV)/.ready ## Run every test on real PostgreSQL, Kafka, AWS emulator and Spark
	@$(BIN)/python -m devstack prerequisites
	@$(BIN)/pytest

simulate: N ?= 10000
simulate: SCENARIO ?= corelib.testing.scenarios:Ledger
simulate: $(VENV)/.ready ## Draw N= schedules of crashes, pauses and losses (SEED= shows one, SCENARIO=module:Class)
	@$(BIN)/python -m corelib.testing.simulation $(SCENARIO) -n $(N) $(if $(SEED),--seed $(SEED))

test-crash: N ?= 5
test-crash: SECONDS ?= 60
test-crash: $(VENV)/.ready ## kill -9, pauses and partitions of everything under load (N= runs of SECONDS=, SEED=)
	@SOUK_CRASH_RUNS=$(N) SOUK_CRASH_SECONDS=$(SECONDS) SOUK_CRASH_SEED=$(SEED) $(BIN)/pytest -v -s tests/crash

test-iac: $(VENV)/.ready ## Apply all of AWS to a fresh local cloud, plan again, judge, destroy, look for leftovers
	@$(BIN)/pytest iac/tests_real

model: $(VENV)/.ready ## Check the formal model of outbox, relay and inbox in larger worlds, and each bug put back (TLC)
	@$(BIN)/pytest -v -s tests/model/test_model.py tests/model/larger.py

check: $(VENV)/.ready ## Lint, strict types, and the rules between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@for tests in $(TESTS); do $(BIN)/mypy --explicit-package-bases $$tests || exit 1; done
	$(BIN)/lint-imports --no-cache

up: $(VENV)/.ready ## Start the stack and leave it running (IAC=1: on what Terraform makes of AWS)
	@$(BIN)/python -m devstack up

down: $(VENV)/.ready ## Stop the stack, keep its data
	@$(BIN)/python -m devstack down

status: $(VENV)/.ready ## Show each process, its health and its URL
	@$(BIN)/python -m devstack status

logs: $(VENV)/.ready ## Show the logs (PART=order for one process)
	@$(BIN)/python -m devstack logs $(PART)

reset: $(VENV)/.ready ## Stop the stack and delete its data
	@$(BIN)/python -m devstack reset

audit: $(VENV)/.ready ## Prove across all stores that orders, payments, stock and e-mails agree
	@$(BIN)/python -m devstack audit

bench: $(VENV)/.ready ## Load the running gateway with k6 (QUICK=1 for 30 s) and draw the result
	@$(BIN)/python -m bench.load

bench-gate: $(VENV)/.ready ## Fail where a fresh QUICK run's ratios fell behind the recorded ones (NAME=commit for one, TOLERANCE=0.25)
	@$(BIN)/python -m bench.gate $(NAME)

bench-%: $(VENV)/.ready ## Run one bench beside its peers: relay, commit, latency, consume, backlog, dynamo, http, import, inbox, timers (QUICK=1: smaller)
	@$(BIN)/python -m bench $*

schemas: $(VENV)/.ready ## Write the golden JSON Schemas of all events anew
	@$(BIN)/python -m contracts.schemas

lock: $(VENV)/.ready ## Compile requirements.lock anew from the pyproject files
	$(UV) pip compile pyproject.toml --group dev --generate-hashes --universal --no-emit-index-url --no-annotate \
	  --no-header -q $(ROOMS:%=--no-emit-package %) -o requirements.lock

$(VENV)/.ready: requirements.lock $(ROOMS:%=%/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "Souk needs Python 3.11 or newer as '$(PYTHON)': install it, or name one with PYTHON=/path/to/python3." >&2; exit 2; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "Souk needs Python's venv module: install the package python3-venv." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(UV) || $(BIN)/python -m pip install -q --disable-pip-version-check uv==0.13.9
	@echo "Installing the pinned packages into $(VENV) ..."
	@$(UV) pip install -q --python $(BIN)/python --require-hashes -r requirements.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps $(ROOMS:%=-e ./%)
	@touch $@
