# Every target does its own set-up: a fresh machine needs Python >= 3.11 and make, no more.
# PYTHON=python3.12 make ... chooses the interpreter that .venv is made from.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready
SOURCES := dataplane operator native tests
# What `make test TESTS=tests/fuzz` narrows, and what is handed on to the tool as it stands.
TESTS ?= tests
WHEELS ?= wheels
COMPILED_TESTS ?= tests/dataplane tests/fuzz tests/conformance
ARGS ?=

.PHONY: help setup run test compiled test-compiled e2e kind check conformance bench bench-scale bench-accuracy bench-access soak fuzz crds lock wheels format clean

help: ## This list
	@grep -hE '^[a-z0-9-]+:.*## ' $(firstword $(MAKEFILE_LIST)) \
		| while IFS=: read -r name rest; do printf '  make %-14s %s\n' "$$name" "$${rest##*## }"; done

setup: $(READY) ## .venv with the locked dependencies and the project itself

# Done again only when what it reads has changed. The project goes in without its
# dependencies, because only the lock says which versions those have; hatchling is in the lock.
$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Portico needs Python 3.11 or newer; PYTHON=... names one" >&2; exit 1; }
	@[ -x $(BIN)/python ] && $(BIN)/python -m pip --version >/dev/null 2>&1 \
		|| $(PYTHON) -m venv --clear $(VENV) \
		|| { echo "no venv module: Debian and Ubuntu have it as python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--no-deps --no-build-isolation -e .
	@touch $@

run: $(READY) ## The gateway on examples/petstore, with the example's own services
	@$(BIN)/portico dev -f examples/petstore $(ARGS)

test: $(READY) ## Everything that needs no root
	$(BIN)/python -m pytest --ignore=tests/e2e $(TESTS) $(ARGS)

compiled: $(READY) ## The data plane in build/compiled, its hot modules compiled with mypyc
	@$(BIN)/python native/native_build.py

# The same tests, in the same words, where what is compiled can make a difference.
test-compiled: $(READY) ## The tests of the data plane, against the compiled modules
	@if $(BIN)/python native/native_build.py; then \
		PYTHONPATH='$(CURDIR)/build/compiled:$(CURDIR)/native' $(BIN)/python -m pytest \
			-p native_proof $(COMPILED_TESTS) $(ARGS); \
	else status=$$?; [ $$status = 3 ] && [ "$${CI:-}" != true ] || exit $$status; fi

e2e: $(READY) ## On a real node, with the real chart and images (Linux, root)
	@tests/e2e/run $(ARGS)

kind: $(READY) ## The same on kind, in Docker
	@tests/e2e/kind $(ARGS)

check: $(READY) ## ruff, mypy strict, import-linter
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

conformance: $(READY) ## Recorded answers of API Gateway; CASES=DIR runs others
	@PYTHONPATH=tests/support $(BIN)/python tests/conformance/runner.py \
		$(if $(CASES),--cases '$(CASES)') $(ARGS)

bench: $(READY) $(BENCH_READY) ## CPU per request beside nginx, HAProxy, Envoy and Caddy
	@.ci/debian nginx:nginx haproxy:haproxy caddy:caddy wrk:wrk
	PYTHONPATH=tests/support $(BIN)/python tests/bench/run.py $(ARGS)

$(BENCH_READY): requirements/bench.txt $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements/bench.txt
	@touch $@

bench-scale: $(READY) ## Edits, memory, starts and writes of the control plane at 10,000 Routes
	PYTHONPATH=tests/support $(BIN)/python tests/bench/scale_run.py $(ARGS)

bench-accuracy: $(READY) ## Quotas, buckets and stores over three data planes, as exact as stated
	@.ci/debian redis-server:redis-server
	PYTHONPATH=tests/support $(BIN)/python tests/bench/accuracy_run.py $(ARGS)

bench-access: $(READY) ## CPU of tokens, signatures, keys and kept answers of authorizers
	PYTHONPATH=tests/support $(BIN)/python tests/bench/access_run.py $(ARGS)

soak: $(READY) ## Half an hour of mixed load with an edit every second, and no error
	@.ci/debian taskset:util-linux setpriv:util-linux
	PYTHONPATH=tests/support $(BIN)/python tests/bench/soak_run.py $(ARGS)

fuzz: $(READY) ## The fuzz tests again, with fresh examples and for minutes
	$(BIN)/python -m pytest tests/fuzz --hypothesis-profile=long \
		-o faulthandler_timeout=0 $(ARGS)

crds: $(READY) ## crds/ again, from the structs that manifests are decoded with
	$(BIN)/python -m portico_cli.crds crds
	@rm -f charts/portico/files/crds/*.yaml
	cp crds/*.yaml charts/portico/files/crds/

# Hashes for every platform, and for the oldest Python that the project takes. uv is a tool of
# this target only, so it stands in no lock.
lock: $(READY) ## Resolve pyproject.toml again into requirements/
	@[ -x $(BIN)/uv ] || $(BIN)/python -m pip install --quiet 'uv>=0.5'
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--upgrade --extra dev pyproject.toml -o requirements/dev.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--upgrade --extra bench --constraint requirements/dev.txt \
		pyproject.toml -o requirements/bench.txt
	@for image in operator dataplane; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
			--no-header --extra $$image --constraint requirements/dev.txt \
			pyproject.toml -o requirements/$$image.txt; \
	done
	printf '%s\n' hatchling mypy setuptools | $(BIN)/uv pip compile --quiet --universal \
		--python-version 3.11 --generate-hashes --no-header \
		--constraint requirements/dev.txt - -o requirements/build.txt

# The Dockerfile installs from wheels/ alone when it is there: for builders without a network.
# Wheels are for the Python and platform of this machine.
wheels: $(READY) ## What both images install, in wheels/ (WHEELS=DIR: elsewhere)
	rm -rf '$(WHEELS)'
	mkdir -p '$(WHEELS)'
	@# The image's Python may be an earlier patch of this one: what only that needs comes along.
	sed -E "s/ ; python_full_version < '3[.][0-9]+[.][0-9]+'//" requirements/operator.txt \
		requirements/dataplane.txt >'$(WHEELS)/lock.txt'
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --require-hashes \
		-r '$(WHEELS)/lock.txt' --wheel-dir '$(WHEELS)'
	rm '$(WHEELS)/lock.txt'
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
		--no-build-isolation --wheel-dir '$(WHEELS)' .

format: $(READY) ## Lay out the code as `make check` wants it
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

clean: ## Remove .venv and everything that was generated
	rm -rf $(VENV) build dist wheels .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
