# One verb per target; `make help` lists them. Everything is kept in .venv beside this file.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The interpreter that .venv is made from: python3 when it is new enough, else the newest one with a version in its name.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done; true)
ARGS ?=
# Test processes at once: more than two processors, since many tests wait for processes of their own.
WORKERS ?= 3

# Somebody else's virtual environment must not leak into ours.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH CONDA_PREFIX
export UV_PYTHON_DOWNLOADS := never
export UV_NO_PROGRESS := 1

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# PROGRAM=PACKAGE that the tests of the browser and of the bus need from the system.
SYSTEM_PROGRAMS := chromium=chromium rabbitmq-server=rabbitmq-server

# Ansible and its company would crowd the everyday environment: the tests of the deployment have one of their own.
DEPLOY_VENV := .venv-deploy
DEPLOY_PY := $(DEPLOY_VENV)/bin/python
DEPLOY_READY := $(DEPLOY_VENV)/.ready

# The image: its name, what it stands on, and the Python that is there. Its files bear the time of the commit.
IMAGE ?= localhost/koschei
IMAGE_BASE ?= registry.fedoraproject.org/fedora-minimal:44
IMAGE_PYTHON ?= 3.14
REVISION ?= $(shell git rev-parse HEAD 2>/dev/null || echo unknown)
IMAGE_TOOLS := build/image-tools
BUILDAH ?= buildah
BUILDAH_OPTIONS ?=
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)

.PHONY: help setup demo test test-bus test-upgrade test-libdnf5 test-deploy test-fuzz screenshots wheelhouse sbom image lint format docs lock system clean FORCE

help: ## show this list
	@echo "usage: make TARGET [ARGS='...'] [PYTHON=python3.13]"
	@echo
	@grep -hE '^[a-z0-9-]+:.* ## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.* ## (.*)/  \1\t\2/' | expand -t 18

setup: $(READY) ## make .venv with everything in it (seconds when nothing changed)

# The stamp holds the folder it was made in: scripts in .venv name it, so a moved checkout is set up again.
ifneq ($(file < $(READY)),$(CURDIR))
$(READY): FORCE
endif

$(READY): requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ]; then echo "Koschei needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python3" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Koschei needs Python 3.11 or newer, but {sys.executable} is {v[0]}.{v[1]}: choose another with PYTHON=python3.11")'
	@if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
		version=$$("$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "python$$version-venv"; \
		else echo "Python $$version cannot make virtual environments here: install the package python$$version-venv" >&2; exit 1; fi; \
	fi
	@if ! head -n 2 $(VENV)/bin/pip 2>/dev/null | grep -qF "$$(pwd -P)/$(VENV)/" || ! $(PY) -m pip --version >/dev/null 2>&1; then \
		echo "Making $(VENV)"; rm -rf $(VENV); "$(PYTHON)" -m venv $(VENV); fi
	@rm -f $(READY)
	@$(PY) -m uv --version >/dev/null 2>&1 || $(PY) -m pip install -q --disable-pip-version-check uv \
		|| echo "uv cannot be had: pip does the same, slower"
	@echo "Installing what requirements.lock names"
	@$(PY) -m uv pip install -q --python $(PY) --no-deps --require-hashes -r requirements.lock 2>/dev/null \
		|| $(PY) -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(PY) -m uv pip install -q --python $(PY) --no-deps -e . 2>/dev/null \
		|| $(PY) -m pip install -q --disable-pip-version-check --no-deps -e .
	@printf %s "$$(pwd -P)" > $(READY)

demo: setup ## start a whole small Koschei world on this machine
	@exec $(PY) -m demo $(ARGS)

test: setup system ## run all tests (ARGS='tests/rules -k priority' for some)
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-upgrade: setup ## run an older version's tests on a database migrated for this one (FROM=v3.0.0)
	@$(PY) -m tests.upgrade.old_tests $(FROM) $(ARGS)

test-libdnf5: setup ## run the solvers' contract against the real libdnf5, in a small Debian made for it (root)
	@tests/depsolve/libdnf5.sh $(ARGS)

test-bus: setup system ## kill the broker 20 times in the middle of a story (KILLS=50 for more)
	KOSCHEI_BUS_KILLS=$(or $(KILLS),20) $(PY) -m pytest tests/bus/test_chaos.py $(ARGS)

test-fuzz: setup system ## ten thousand strange requests to the pages, and ten times as many to the API
	KOSCHEI_FUZZ_REQUESTS=10000 KOSCHEI_FUZZ_EXAMPLES=100 $(PY) -m pytest -n $(WORKERS) tests/frontend/test_fuzz_pages.py tests/frontend/test_api_v2_fuzz.py $(ARGS)

screenshots: setup system ## every page as a picture in build/screenshots (ARGS=/package for some)
	$(PY) -m tests.screenshots $(ARGS)

test-deploy: $(DEPLOY_READY) ## run the tests of the deployment: manifests, playbooks, image (not part of make test)
	$(DEPLOY_PY) -m pytest -o testpaths=tests/deploy $(ARGS)

# Everyday versions first: what both locks name is the same in both (see the target lock).
$(DEPLOY_READY): $(READY) tests/deploy/requirements.lock
	@if [ "$$(cat $(DEPLOY_READY) 2>/dev/null)" != "$$(pwd -P)" ]; then \
		echo "Making $(DEPLOY_VENV)"; rm -rf $(DEPLOY_VENV); $(PY) -m venv $(DEPLOY_VENV); fi
	@rm -f $(DEPLOY_READY)
	@for lock in requirements.lock tests/deploy/requirements.lock; do \
		echo "Installing what $$lock names"; \
		$(PY) -m uv pip install -q --python $(DEPLOY_PY) --no-deps --require-hashes -r $$lock 2>/dev/null \
			|| $(DEPLOY_PY) -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r $$lock; done
	@$(PY) -m uv pip install -q --python $(DEPLOY_PY) --no-deps -e . 2>/dev/null \
		|| $(DEPLOY_PY) -m pip install -q --disable-pip-version-check --no-deps -e .
	@printf %s "$$(pwd -P)" > $(DEPLOY_READY)

lint: setup ## check style, types and floors (also part of the tests)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -c 'import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())'

format: setup ## put the code in our layout
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

wheelhouse: $(IMAGE_TOOLS)/.ready ## fetch and build the wheels that the image is made of
	@$(IMAGE_TOOLS)/bin/python deploy/image/wheelhouse.py --python $(IMAGE_PYTHON) --epoch $(SOURCE_DATE_EPOCH)

sbom: image ## build the image, and say in CycloneDX what is in it (build/sbom.cdx.json)
	@echo build/sbom.cdx.json

image: wheelhouse ## build the container image with buildah, its SBOM beside it (IMAGE=name IMAGE_BASE=... IMAGE_PYTHON=...)
	$(BUILDAH) bud --timestamp $(SOURCE_DATE_EPOCH) $(BUILDAH_OPTIONS) --build-arg BASE=$(IMAGE_BASE) \
		--build-arg VERSION=$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
		--build-arg REVISION=$(REVISION) \
		--build-arg CREATED=$(shell date -u -d @$(SOURCE_DATE_EPOCH) +%Y-%m-%dT%H:%M:%SZ) \
		--file Containerfile --tag $(IMAGE) .
	@container=$$($(BUILDAH) from --pull-never $(IMAGE)); \
	$(BUILDAH) run $$container cat /usr/share/koschei/sbom.cdx.json > build/sbom.cdx.json; $(BUILDAH) rm $$container >/dev/null

# Hashes of all of them are in the lock file, pip's too, with which the image installs its wheels.
$(IMAGE_TOOLS)/.ready: deploy/image/tools.lock
	@rm -rf $(IMAGE_TOOLS)
	@"$(PYTHON)" -m venv $(IMAGE_TOOLS)
	@$(IMAGE_TOOLS)/bin/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r deploy/image/tools.lock
	@touch $@

docs: setup ## write the reference pages that are made from the code
	$(PY) -m koschei.config > docs/configuration.md.new
	mv docs/configuration.md.new docs/configuration.md

lock: setup ## compute the lock files again from pyproject.toml and tests/deploy/requirements.in (needs uv)
	$(PY) -m uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		--extra dev pyproject.toml -o requirements.lock
	$(PY) -m uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		-c requirements.lock tests/deploy/requirements.in -o tests/deploy/requirements.lock
	$(PY) -m uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		-c requirements.lock --override deploy/image/overrides.txt --no-emit-package gssapi --no-emit-package decorator \
		pyproject.toml -o deploy/image/requirements.lock
	$(PY) -m uv pip compile -q --universal --generate-hashes --no-header --no-annotate --python-version 3.11 \
		-c requirements.lock deploy/image/tools.in -o deploy/image/tools.lock

system: ## install the system packages that tests need (root), or name them (anybody else)
	@missing=; for pair in $(SYSTEM_PROGRAMS); do PATH="$$PATH:/usr/sbin" command -v "$${pair%%=*}" >/dev/null || missing="$$missing $${pair##*=}"; done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing$$missing"; \
		{ apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing; } >/dev/null \
			|| echo "Could not install$$missing: the tests that need them will fail or be skipped" >&2; \
	else echo "Missing system packages:$$missing. The tests that need them will fail or be skipped until somebody installs them." >&2; fi

clean: ## remove .venv, caches and the demo's data
	@! mountpoint -q build/libdnf5/root/proc || umount build/libdnf5/root/proc
	rm -rf $(VENV) $(DEPLOY_VENV) demo/.run build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
