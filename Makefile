# lbctl: `make demo` shows it, `make test` proves it. Both set up what they need.

.NOTPARALLEL:
.PHONY: help setup setup-test demo test lint type unit contract system container hosts bench docs wheel clean
PYTEST = .venv/bin/pytest $(ARGS)

help:
	@echo "make demo [ARGS=--once]  two hosts on this machine, the virtual IP moves between them"
	@echo "                         ARGS='--engine native': the same with vipd's own CARP at 50 ms"
	@echo "make test                everything: lint, types, imports, all tests"
	@echo "make setup               what demo needs: Debian packages and .venv (test: setup-test)"
	@echo "make docs                the documents as a site, in dist/site"
	@echo "make lint type unit contract system container hosts bench wheel clean"

setup:
	@scripts/setup run

setup-test:
	@scripts/setup test

demo: setup
	@.venv/bin/lbctl demo $(ARGS)

# Fresh Debian roots take two minutes where none is cached: they are made beside lint, types and units.
test: setup-test
	@(for root in trixie bookworm "bookworm machine" "trixie machine"; do scripts/debian-root $$root; done) \
		>/dev/null 2>&1 &
	@$(MAKE) --no-print-directory lint type
	@scripts/test-all

lint: setup-test
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports

type: setup-test
	.venv/bin/mypy

unit contract system container hosts: setup-test
	$(PYTEST) tests/$@

bench: setup-test
	bench/processes
	bench/hook
	bench/footprint
	bench/failover
	bench/reloads
	bench/apply
	bench/render
	bench/discovery
	bench/scale
	bench/consul
	bench/chaos --steps 100

docs: setup-test
	scripts/reference
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict

wheel: setup
	.venv/bin/pip wheel -q --no-deps -w dist .

clean:
	rm -rf .venv .cache dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
