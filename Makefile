# Every target sets up what it needs in .venv; nothing else on the machine is changed.
# A target's help is what follows the two number signs.

PYTHON ?= python3
BIN := .venv/bin
LOCKS := requirements/bootstrap.txt requirements/base.txt requirements/node.txt pyproject.toml tools/setup.sh
PYTEST := $(BIN)/pytest

.DEFAULT_GOAL := help
.SUFFIXES:

# A checkout that was moved or copied with its .venv must be set up again.
ifneq ($(shell cat .venv/.checkout 2>/dev/null || pwd -P),$(shell pwd -P))
$(shell rm -f .venv/.base .venv/.dev)
endif

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done

.venv/.base: $(LOCKS)
	@PYTHON="$(PYTHON)" tools/setup.sh base

.venv/.dev: $(LOCKS) requirements/dev.txt
	@PYTHON="$(PYTHON)" tools/setup.sh dev

.PHONY: demo
demo: .venv/.base ## A whole market on this machine, with a page on http://127.0.0.1:8420
	$(BIN)/poolmaker demo

.PHONY: setup
setup: .venv/.dev ## Make .venv with everything that the other targets use

.PHONY: check
check: .venv/.dev ## Format, lint, types, import contracts, tidy tests
	@failed=0; \
	for step in "ruff format --check" "ruff check" mypy "lint-imports --no-logo" "pytest -q -n 2 tests/tidy"; do \
		echo "== $$step"; $(BIN)/$$step || failed=1; \
	done; exit $$failed

.PHONY: test
test: .venv/.dev ## All tests except the long ones
	@if ls tests/e2e/test_*.py >/dev/null 2>&1; then tools/chromium.sh; fi
	$(PYTEST) -n 2 --dist loadgroup -m "not long"

.PHONY: test-long
test-long: .venv/.dev ## The tests that take too long for every run
	$(PYTEST) -n 2 --dist loadgroup -m long

.PHONY: fuzz
fuzz: .venv/.dev ## Every test by search with new seeds for MINUTES (60)
	$(BIN)/python -m tools.fuzz --minutes $(or $(MINUTES),60)

.PHONY: format
format: .venv/.dev ## Format the code and mend what the linter can mend
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: docs
docs: .venv/.dev ## Draw the diagrams of docs/ anew from the code
	$(BIN)/python -m tools.diagrams

.PHONY: lock
lock: .venv/.dev ## Resolve the dependencies anew into requirements/*.txt
	tools/lock.sh

.PHONY: clean
clean: ## Remove .venv and all caches (never the data in .poolmaker)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist
	find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
