# The commands of this repository; `make` alone lists them.
#
# .venv/ is the current track (TensorFlow 2.21), .venv-tpu/ the one with the real TPUEstimator
# (TensorFlow 2.15.1). Both get the exact versions of constraints/ with --no-deps: t5 requires
# nightly builds that overwrite the releases file by file, and packages that nothing imports.
# The stamp is written last, so that an incomplete environment is made again.

PYTHON ?= python3
PYTEST_ARGS ?=
# tests/conftest.py sets the number of processes for "auto". All tests of a file run in one process,
# because they share models.
PYTEST_JOBS ?= -n auto --dist=loadfile

TAG := $(shell $(PYTHON) -c 'import sys; print("py%d%d" % sys.version_info[:2])' 2>/dev/null)
# A virtual environment contains the path of its folder: after a move it has to be made again.
STAMP := $(TAG)-$(firstword $(shell pwd | cksum))
LOCK := $(wildcard constraints/current-$(TAG).txt)
TPU_LOCK := $(wildcard constraints/tpu-$(TAG).txt)
TPU_TESTS := $(wildcard tests/tpu_track/test_*.py)
TORCH := torch==2.13.0
# For tests of exported models.
TRANSFORMERS := transformers==5.24.0
METADATA := setup.py pyproject.toml
# What `make locks KEEP=1` passes on: versions that are already listed stay.
LOCK_ARGS := $(if $(KEEP),--keep)

PIP_INSTALL := -m pip --disable-pip-version-check install --quiet --progress-bar off --no-deps
UV_INSTALL := pip install --quiet --no-cache --no-deps --compile-bytecode

.PHONY: help demo lint format test quick-cases test-slow test-tpu test-install golden bench env env-tpu env-torch locks clean

help:
	@echo "make demo    compare Primer, Primer-EZ, the vanilla Transformer and Qwen3, trained here"
	@echo "make test    run the tests (PYTEST_ARGS=... for pytest's own arguments)"
	@echo "make lint    check style, formatting and types; make format: rewrite files to pass the first two"
	@echo "make golden  record again what the models compute, after a change that alters it on purpose"
	@echo "make bench   measure speeds against stock t5 and torch.compile (half an hour)"
	@echo "make env     only make .venv/; make env-tpu: only .venv-tpu/ (Python 3.10 or 3.11)"
	@echo "make env-torch  PyTorch and transformers in .venv-torch/, which only comparisons with them need"
	@echo "make locks   resolve setup.py's ranges and write constraints/ (KEEP=1: keep listed versions)"
	@echo "make clean   remove the environments and the files that the other commands wrote"

demo: env
	.venv/bin/primer demo

lint: env
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: env
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

test: env
	.venv/bin/python -m pytest $(PYTEST_JOBS) $(PYTEST_ARGS)
	@$(MAKE) --no-print-directory test-tpu

ifeq ($(TPU_TESTS),)
test-tpu:
else ifeq ($(TPU_LOCK),)
test-tpu:
	@echo "The TensorFlow 2.15.1 track needs Python 3.10 or 3.11; $(PYTHON) is not: skipped."
else
test-tpu: env-tpu
	.venv-tpu/bin/python -m pytest -m "tpu_track and not slow" tests/tpu_track $(PYTEST_ARGS)
endif

# Which cases of long tests run always, from the times of all that are not marked slow in the code.
quick-cases: env
	rm -f tests/quick_cases.json
	.venv/bin/python -m pytest $(PYTEST_JOBS) --junitxml=build/times.xml $(PYTEST_ARGS) || true
	.venv/bin/python -m tests.quick_cases build/times.xml

test-slow: env
	.venv/bin/python -m pytest -m slow --ignore=tests/packaging/test_install.py -n auto --dist=load $(PYTEST_ARGS)

# Slow: `pip install` into an empty environment for each Python on the PATH.
test-install: env
	.venv/bin/python -m pytest -m slow tests/packaging/test_install.py $(PYTEST_ARGS)

# Losses, graphs and wiring of every composition: review the difference before committing it.
golden: env
	PRIMER_WRITE_GOLDEN=1 .venv/bin/python -m pytest $(PYTEST_JOBS) -m "slow or not slow" \
		tests/test_recorded_runs.py tests/gin/test_wiring.py
	git diff --stat -- tests

# The stock command and PyTorch are compared with where they can be installed.
bench: env env-torch $(if $(TPU_LOCK),env-tpu)
	.venv/bin/python benchmarks/step.py

env: .venv/.installed-$(STAMP)

env-tpu: .venv-tpu/.installed-$(STAMP)

# $(1): the folder, $(2): its list. uv takes one minute, pip three or four. uv does not read pip's
# settings: where only those name a package index, pip installs instead. Bytecode is compiled here,
# on all cores: with PYTHONDONTWRITEBYTECODE set, every start would compile TensorFlow again.
define locked_environment
@$(PYTHON) constraints/check_python.py $(2)
@echo "Installing the $$(grep -vc '^#' $(2)) packages of $(2) into $(1)/ (a few minutes)"
@rm -rf $(1)
@$(PYTHON) -m venv $(1)
@$(1)/bin/python $(PIP_INSTALL) uv && \
	$(1)/bin/uv $(UV_INSTALL) --python $(1)/bin/python -r $(2) || \
	{ echo "uv failed; installing with pip" && $(1)/bin/python $(PIP_INSTALL) -r $(2); }
@touch $@
endef

.venv/.locked-$(STAMP): $(LOCK)
	$(call locked_environment,.venv,$(or $(LOCK),constraints/current-$(TAG).txt))

.venv-tpu/.locked-$(STAMP): $(TPU_LOCK)
	$(call locked_environment,.venv-tpu,$(or $(TPU_LOCK),constraints/tpu-$(TAG).txt))

# The list includes the setuptools that pyproject.toml requires: this step downloads nothing.
.venv/.installed-$(STAMP): .venv/.locked-$(STAMP) $(METADATA)
	@.venv/bin/python $(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

.venv-tpu/.installed-$(STAMP): .venv-tpu/.locked-$(STAMP) $(METADATA)
	@.venv-tpu/bin/python $(PIP_INSTALL) --no-build-isolation --editable .
	@touch $@

# PyTorch's build for CPUs alone has a name of its own, which not every package index has.
env-torch: .venv-torch/.installed-$(STAMP)

.venv-torch/.installed-$(STAMP):
	@echo "Installing PyTorch and transformers into .venv-torch/ (a minute or more)"
	@rm -rf .venv-torch
	@$(PYTHON) -m venv .venv-torch
	@.venv-torch/bin/python $(filter-out --no-deps,$(PIP_INSTALL)) numpy "$(TORCH)+cpu" 2>/dev/null || \
		.venv-torch/bin/python $(filter-out --no-deps,$(PIP_INSTALL)) numpy "$(TORCH)"
	@.venv-torch/bin/python $(filter-out --no-deps,$(PIP_INSTALL)) "$(TRANSFORMERS)"
	@touch $@

locks:
	rm -rf build/locks
	$(PYTHON) -m venv build/locks
	build/locks/bin/python $(PIP_INSTALL) "uv>=0.8"
	build/locks/bin/python constraints/lock.py $(LOCK_ARGS) build/locks/bin/uv
	rm -rf build/locks

clean:
	rm -rf .venv .venv-tpu .venv-torch build dist demo primer.egg-info .pytest_cache .ruff_cache .mypy_cache
	find primer tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
