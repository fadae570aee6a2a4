SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.ready
JOBS ?= 3

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(READY) ## Show the whole path on real data, in under three minutes
	@$(BIN)/reconciler demo

test: $(READY) ## Run all tests, and hold every room to its branch coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/pytest -q -n $(JOBS) --cov --cov-report=
	@$(BIN)/coverage json -q -o .coverage.json
	@$(BIN)/python -P tests/coverage_gate.py .coverage.json

check: $(READY) ## Check style, types, layers and that the schemas are those of the code
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	$(BIN)/python -c "$$WRITE_SCHEMAS" "$$fresh"; \
	diff -r schemas "$$fresh/schemas" && diff docs/manifests.md "$$fresh/docs/manifests.md" \
	|| { echo 'schemas/ or docs/manifests.md is stale; run: make schemas'; exit 1; }

bench: $(READY) ## Measure against peers, each ratio in one run
	@for script in $(filter-out benchmarks/chaos%.py,$(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script"; done

chaos: $(READY) ## Kill runners for half an hour and count what is lost; ONLY=--quick for a look
	@$(BIN)/python benchmarks/chaos.py $(ONLY)
	@$(BIN)/python benchmarks/chaos_files.py $(ONLY)

schemas: $(READY) ## Write the JSON Schemas and the reference of the manifests anew
	@$(BIN)/python -c "$$WRITE_SCHEMAS" .

clean: ## Remove what was made, but for the virtual environment
	@rm -rf build dist .coverage .coverage.* .hypothesis .mypy_cache .ruff_cache
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: help demo test check bench chaos schemas clean

define WRITE_SCHEMAS
import pathlib, sys
from reconciler.manifest.reference import reference_text
from reconciler.manifest.schema import schema_text, schemas
from reconciler.plan.plan_schema import plan_schema_text
texts = {f"schemas/{name}": schema_text(name) for name in schemas()}
texts["schemas/plan.schema.json"] = plan_schema_text()
for name, text in {**texts, "docs/manifests.md": reference_text()}.items():
    path = pathlib.Path(sys.argv[1], name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
endef
export WRITE_SCHEMAS

# The environment is made with the first Python of 3.11 or later; PYTHON=... chooses another.
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3 python,$(shell \
	$(name) -c 'import sys; print("$(name)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo 'Python 3.11 or later is needed and was not found'; exit 1; }
	@test -x $(BIN)/python || { echo 'making .venv with $(PYTHON)'; $(PYTHON) -m venv .venv; }
	@echo 'installing into .venv; this happens once'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
