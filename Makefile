# Aeterna's one command runner. Needs python3 (3.11 or newer), pip, make and git; every target installs the rest by itself.
#
#   VENV=dir     another place for the virtual environment        PYTHON=python3.12  another interpreter
#   JOBS=4       test processes                                   PYTEST_ARGS="-k x" more arguments for pytest
#   SEEDS=20000  seeds of `make sim`                              DEMO_ARGS, BENCH_ARGS likewise

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
VENV_BENCH ?= .venv-bench
PYTHON ?=
JOBS ?= 2
SEEDS ?= 20000
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=

BIN := $(VENV)/bin
CORE := src/aeterna/*/core/*
# The keeper runs without site-packages (python -I -S), so nothing can be loaded into it that measures.
UNMEASURABLE := src/aeterna/supervisor/keeper/*
# A program, and no wheel: .ci/run installs it, and without it the tests behind it cannot be.
POOLER := $(shell PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v pgbouncer)
UNPOOLED := $(if $(POOLER),,--ignore=tests/stores/test_postgres_pooled.py)
TYPED := src $(filter-out tests/typing/bad_calls.py,$(wildcard tests/typing/*.py)) $(wildcard examples/*.py)

# create_venv DIR: makes a virtual environment in DIR unless it has one with a Python that is new enough.
# Without ensurepip (Debian splits it off), virtualenv is unpacked beside it: nothing outside the checkout is touched.
define create_venv
fits() { "$$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }; \
if [ -x "$(1)/bin/python" ] && fits "$(1)/bin/python"; then exit 0; fi; \
if [ -e "$(1)" ] && [ ! -e "$(1)/pyvenv.cfg" ] && [ -n "$$(ls -A "$(1)" 2>/dev/null)" ]; then \
	echo "make: '$(1)' exists and is no virtual environment; choose another place with VENV=dir" >&2; exit 1; fi; \
python=; for name in $(if $(PYTHON),"$(PYTHON)",python3 python3.13 python3.12 python3.11); do \
	if fits "$$name"; then python=$$name; break; fi; done; \
if [ -z "$$python" ]; then \
	echo "make: Aeterna needs Python 3.11 or newer; tried $(or $(PYTHON),python3 python3.13 python3.12 python3.11)," >&2; \
	echo "make: where $(or $(PYTHON),python3) is: $$("$(or $(PYTHON),python3)" --version 2>&1 | head -1)." >&2; \
	echo "make: Install a newer one, or say where it is: make PYTHON=path" >&2; \
	exit 1; fi; \
echo "creating $(1) with $$("$$python" --version)"; \
rm -rf "$(1)"; \
if ! "$$python" -m venv "$(1)" >/dev/null 2>&1; then \
	rm -rf "$(1)"; \
	if ! "$$python" -m virtualenv --quiet "$(1)" 2>/dev/null; then \
		echo "this Python has no ensurepip; unpacking virtualenv into $(1)-bootstrap"; \
		"$$python" -m pip install --quiet --target "$(1)-bootstrap" virtualenv || { \
			echo "make: cannot create a virtual environment: install the python3-venv package, or pip" >&2; exit 1; }; \
		PYTHONPATH="$(1)-bootstrap" "$$python" -m virtualenv --quiet "$(1)"; \
		rm -rf "$(1)-bootstrap"; \
	fi; \
fi
endef

# install DIR,CONSTRAINTS,EXTRAS: the package, editable, with every dependency (and the build backend) at its pinned version.
define install
pip() { "$(1)/bin/python" -m pip --disable-pip-version-check --no-input install --quiet --constraint "$(2)" "$$@"; }; \
echo "installing aeterna[$(3)] into $(1) (versions: $(2))"; \
pip setuptools; \
pip --no-build-isolation --editable ".[$(3)]"
endef

.PHONY: help
help: ## show this list
	@echo "Aeterna: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS=$$'\t' read -r target text; do \
		printf '  %-8s %s\n' "$$target" "$$text"; done

$(VENV)/.installed-run: pyproject.toml constraints/test.txt
	@$(call create_venv,$(VENV))
	@$(call install,$(VENV),constraints/test.txt,uvloop)
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints/test.txt
	@$(call create_venv,$(VENV))
	@$(call install,$(VENV),constraints/test.txt,test)
	@touch $(VENV)/.installed-run $@

$(VENV_BENCH)/.installed-bench: pyproject.toml constraints/bench.txt
	@$(call create_venv,$(VENV_BENCH))
	@$(call install,$(VENV_BENCH),constraints/bench.txt,bench)
	@touch $@

.PHONY: demo
demo: $(VENV)/.installed-run ## watch a job being killed twice and finishing correctly
	@$(BIN)/aeterna demo $(DEMO_ARGS)

# Coverage of child processes comes from `patch = subprocess` in pyproject.toml; one killed by SIGKILL cannot report.
.PHONY: test
test: $(VENV)/.installed-test ## run all tests, then the coverage gates (core 100 %, the rest 90 %)
	@rm -f .coverage .coverage.*
	@$(if $(POOLER),:,echo "pgbouncer is not installed (apt-get install pgbouncer): PostgreSQL behind a pooler is not tested")
	@$(BIN)/coverage run -m pytest -n $(JOBS) tests $(UNPOOLED) $(PYTEST_ARGS)
	@$(BIN)/coverage combine --quiet
	@echo "coverage gate: core, 100 % of lines and branches"
	@$(BIN)/coverage report --include='$(CORE)' --fail-under=100
	@echo "coverage gate: everything else, 90 %"
	@$(BIN)/coverage report --omit='$(CORE),$(UNMEASURABLE)' --fail-under=90

.PHONY: check
check: $(VENV)/.installed-test ## ruff, mypy --strict, layers (the tidy test is part of `make test`)
	@failed=; \
	run() { echo "$$*"; "$(BIN)/$$@" || failed="$$failed $$1"; }; \
	run ruff check; \
	run ruff format --check; \
	run mypy $(TYPED); \
	run lint-imports --no-logo; \
	if [ -n "$$failed" ]; then echo "make: these checks failed:$$failed" >&2; exit 1; fi

.PHONY: sim
sim: $(VENV)/.installed-test ## run the simulation over SEEDS seeds (default 20000)
	@AETERNA_SIM_SEEDS=$(SEEDS) $(BIN)/python -m pytest -n $(JOBS) --timeout 0 tests/simulation $(PYTEST_ARGS)

.PHONY: chaos
chaos: $(VENV)/.installed-test ## the full counts of reloads, kills and cut links (supervisor, clusters), about two hours
	@mkdir -p build
	@AETERNA_CHAOS=1 AETERNA_CHAOS_RESULTS=build/chaos.json $(BIN)/python -m pytest -n $(JOBS) --timeout 0 tests/supervisor tests/cluster tests/server/test_http_any_request.py $(PYTEST_ARGS)

.PHONY: bench
bench: $(VENV_BENCH)/.installed-bench ## run the benchmark beside DBOS and other supervisors, and print the ratios
	@$(VENV_BENCH)/bin/python -m bench $(BENCH_ARGS)

.PHONY: docs
docs: $(VENV)/.installed-test ## write the generated parts of docs/ anew
	@$(BIN)/python -m docs.generate

.PHONY: proto
proto: $(VENV)/.installed-test ## write the generated messages of proto/ anew
	@$(BIN)/python -m proto.generate

.PHONY: fmt
fmt: $(VENV)/.installed-test ## format the code and fix what ruff can fix
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

.PHONY: clean
clean: ## remove environments, caches and build results
	@rm -rf $(VENV) $(VENV_BENCH) build dist src/*.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.hypothesis .import_linter_cache
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
