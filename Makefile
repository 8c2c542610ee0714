# Everything here needs only Python 3.11+ (and git); each target sets itself up, again and again without harm.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# What a browser gets at /graphql; without it the service shows a small explorer of its own.
GRAPHIQL := app/graphiql/dist/index.html
# The web console at /; without it the service shows a small page.
CONSOLE := app/console/dist/index.html

.PHONY: help setup graphiql console services demo test lint format screenshots bench chaos fuzz lock clean

help: ## what can be done here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(VENV)/.installed ## the virtual environment, from requirements.lock

$(VENV)/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; '$(PYTHON)' is older. Name another: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: on Debian, 'apt-get install python3-venv'."; exit 1; }
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# Compiled once for all: where Python may not write bytecode, each process would else do so again, for two seconds.
	@$(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q app schema sagas gitlab tests -x node_modules
	@touch $@

graphiql: $(GRAPHIQL) ## GraphiQL for /graphql, built where Node is or can be got; part of demo and test
	@:

$(GRAPHIQL): app/build-page app/with-node $(shell find app/graphiql_source -name node_modules -prune -o -type f -print)
	@PYTHON=$(PYTHON) app/graphiql_source/build

console: $(CONSOLE) ## the web console at /, likewise
	@:

$(CONSOLE): app/build-page app/with-node schema/schema.graphql $(shell find app/console \( -name node_modules -o -name dist -o -path app/console/src/gql \) -prune -o -type f -print)
	@PYTHON=$(PYTHON) app/console/build

demo: setup graphiql console ## the Balance calculation from start to merge request, live; ARGS=--once stops at the end
	@$(BIN)/orchestrator demo $(ARGS)

lint: setup ## ruff, format, mypy strict, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: setup ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

test: lint services graphiql console ## everything: lint, then all tests on all cores; ARGS go to pytest
	@$(BIN)/python -m tests.run $(ARGS)

services: ## what tests run beside Python: RabbitMQ, Chromium, Debian's PostgreSQL (as root on Debian; else told), npm packages
	@tests/install-services
	@PYTHON=$(PYTHON) tests/npm/install

screenshots: setup console ## the pictures of docs/console.md, by the test that clicks through the whole job
	@ORCHESTRATOR_SCREENSHOTS=docs/console $(BIN)/pytest -q tests/browser/test_console_job.py -k whole_job

bench: setup ## how fast it is, each figure beside the database's own floor from the same run; ARGS=--json
	@$(BIN)/python -m tests.benchmarks $(ARGS)

fuzz: setup ## ten minutes of random requests at every door of the running service; ARGS=--help
	@$(BIN)/python -m tests.security.fuzz $(ARGS)

chaos: setup ## kills and faults over the running service, then proof that nothing was lost or done twice; ARGS=--help
	@$(BIN)/python -m tests.chaos $(ARGS)

lock: setup ## requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet pyproject.toml --group dev --generate-hashes --no-emit-index-url --universal --python-version 3.11 -o requirements.lock

clean: ## the environment and the demo's data
	rm -rf $(VENV) .orchestrator .tools {app/graphiql,app/console}/dist {app/graphiql_source,app/console,tests/npm}/node_modules app/console/src/gql
