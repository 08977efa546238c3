# Everything goes through .venv, which `make setup` makes and every other target makes first.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python -m
SOURCES := $(wildcard contracts/contracts chassis/chassis ops)
SOURCES += $(patsubst %/__init__.py,%,$(wildcard services/*/*/__init__.py))
TEST_FOLDERS := $(filter-out ops/tests,$(wildcard contracts/tests chassis/tests services/*/tests tests))
ARGS ?=
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup demo up down status logs token verify bench test faults check types fmt schemas lock

help: ## Show this list
	@echo "Coffer. Two commands to begin with: make demo, make test."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what is missing into .venv (PYTHON=python3.13 to choose one)
	@$(PYTHON) ops/setup.py

demo: setup ## Play a day of orders on a stack of its own, tell the story, stop it again
	@$(RUN) ops.demo $(ARGS)

up: setup ## Start broker, database and services, and leave .local/env to be sourced
	@$(RUN) ops.local up

down: setup ## Stop what `make up` started (WIPE=1 forgets its data too)
	@$(RUN) ops.local down $(if $(WIPE),--wipe)

status: setup ## Show what runs and whether it is ready
	@$(RUN) ops.local status

logs: setup ## Show the ends of the logs (NAME=credit-1 for one, F=1 to follow)
	@$(RUN) ops.local logs $(NAME) $(if $(F),--follow)

token: setup ## Print a bearer token (ROLE=auditor, or ROLE=account-user ACCOUNT=ACME)
	@$(RUN) ops.local token $(foreach role,$(or $(ROLE),administrator),--role $(role)) \
	  $(foreach account,$(ACCOUNT),--account $(account)) $(if $(SUBJECT),--subject $(SUBJECT)) \
	  $(if $(TTL),--ttl $(TTL))

verify: setup ## Check every invariant on the running stack
	@$(RUN) ops.verify $(ARGS)

bench: setup ## Measure beside the floors (STRICT=1 fails on a missed goal)
	@$(RUN) tests.bench $(if $(STRICT),--strict) $(ARGS)

test: setup check ## Run all checks and all tests
	@$(RUN) pytest -n $(WORKERS) --no-loadscope-reorder --durations=10 $(ARGS)

faults: setup ## Run the fault tests alone (ROUNDS=50 SECONDS=20 KILLS=5 SEED=7 for more kills at random)
	@$(foreach name,ROUNDS SECONDS KILLS SEED,$(if $($(name)),COFFER_FAULT_$(name)=$($(name)))) \
	  $(RUN) pytest -s --durations=10 tests/faults $(ARGS)

check: setup types ## Lint, types, import rules, and the contracts' compatibility
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(BIN)/lint-imports --no-logo
	@$(RUN) contracts check

types: setup ## Check the types strictly
	@$(RUN) mypy $(SOURCES)
	@status=0; for folder in $(TEST_FOLDERS); do $(RUN) mypy $$folder || status=1; done; exit $$status

fmt: setup ## Format, and repair what the linter can
	@$(RUN) ruff check --fix .
	@$(RUN) ruff format .

schemas: setup ## Write the contracts' schemas and the AsyncAPI document anew
	@$(RUN) contracts schemas

lock: setup ## Write requirements.lock and the broker's jar lock anew (UPGRADE=1 takes newer versions)
	@$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --quiet $(if $(UPGRADE),--upgrade) requirements.in -o requirements.lock
	@cd ops/local/kafka && ../../../$(BIN)/jgo --resolver python --quiet lock
