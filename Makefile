# lbctl: `make demo` shows it, `make test` proves it. Both set up what they need.

.NOTPARALLEL:
.PHONY: help setup setup-test demo test lint type unit contract system container bench wheel clean
PYTEST = .venv/bin/pytest $(ARGS)

help:
	@echo "make demo [ARGS=--once]  two hosts on this machine, the virtual IP moves between them"
	@echo "make test                everything: lint, types, imports, unit, contract, system, container tests"
	@echo "make setup               what demo needs: Debian packages and .venv (test: setup-test)"
	@echo "make lint type unit contract system container bench wheel clean"

setup:
	@scripts/setup run

setup-test:
	@scripts/setup test

demo: setup
	@.venv/bin/lbctl demo $(ARGS)

test: lint type
	.venv/bin/pytest --no-skips

lint: setup-test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports

type: setup-test
	.venv/bin/mypy

unit contract system container: setup-test
	$(PYTEST) tests/$@

bench: setup-test
	bench/processes
	bench/hook
	bench/footprint

wheel: setup
	.venv/bin/pip wheel -q --no-deps -w dist .

clean:
	rm -rf .venv .cache dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
