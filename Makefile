# The two commands are `make demo` and `make test`; each sets itself up. `make help` lists the rest.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
DEMO_ARGS ?=
BENCH_ARGS ?=
CONFORMANCE_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help demo test conformance bench format lint types layers unit golden lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $(PYTHON) must be Python 3.11 or newer; set PYTHON=python3.12, for example"; exit 2; }
	@echo "setting up $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

# The runtime is what `make demo` needs; the tools come on top for `make test`.
$(VENV)/.runtime: $(BIN)/uv requirements/runtime.txt pyproject.toml
	@$(INSTALL) --require-hashes -r requirements/runtime.txt
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

demo: $(VENV)/.runtime ## run the main job end to end on this machine and show it
	@$(BIN)/tablecast demo $(DEMO_ARGS)

test: $(VENV)/.dev lint types layers unit ## all checks: format, lint, types, layers, tests

lint: $(VENV)/.dev ## formatting and lint rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev ## static types, strict
	$(BIN)/mypy

layers: $(VENV)/.dev ## imports point inward
	$(BIN)/lint-imports --no-cache

unit: $(VENV)/.dev ## the tests, fast ones first
	$(BIN)/pytest

conformance: $(VENV)/.dev ## hold engine and endpoint to the rules of AWS, by name
	@$(BIN)/python tests/conformance $(CONFORMANCE_ARGS)

bench: $(VENV)/.dev ## measure the figures of docs/explanation/performance.md
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

format: $(VENV)/.dev ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

golden: $(VENV)/.dev ## write the golden files anew; review the diff like code
	TABLECAST_WRITE_GOLDEN=1 $(BIN)/pytest -q tests/golden

lock: $(BIN)/uv ## pin the dependencies anew, by hash
	for name in uv runtime dev; do \
	  $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-annotate --no-header -o requirements/$$name.txt requirements/$$name.in; \
	done
	$(BIN)/uv pip compile --quiet --universal --python-version 3.12 --generate-hashes \
	  --no-emit-index-url --no-annotate --no-header -o src/tablecast/bundling/lambda.txt requirements/lambda.in

clean: ## remove what the other targets made
	rm -rf $(VENV) .tablecast .hypothesis .mypy_cache .pytest_cache .ruff_cache benchmarks/results
