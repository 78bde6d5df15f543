# Each target does all of its own set-up: a virtual environment in .venv, made once and updated only when
# pyproject.toml or constraints.txt change. Needed beforehand: python3 (3.10 or newer) with pip, and make.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# A folder of wheels kept on the machine, taken where it is there: torch's CPU build spares gigabytes.
WHEELS ?= $(wildcard /opt/wheels)
PIP    := $(BIN)/python -m pip install -q $(if $(WHEELS),--find-links $(WHEELS))
# CPU=1 takes PyTorch's CPU build, a tenth of the CUDA build that PyPI serves on Linux.
CPU    ?=
TORCH  := $(if $(CPU),--extra-index-url https://download.pytorch.org/whl/cpu)

# The caller's Python settings must not leak in.
unexport PYTHONPATH
unexport PYTHONHOME
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all coverage lint docs benchmark history clean

help:
	@echo "make demo       simulate a small movie, reconstruct it, score it, write a report to autods_demo/"
	@echo "make test       the quick tests (under 7 minutes on 2 cores)"
	@echo "make test-all   every test, the slow ones too"
	@echo "make coverage   the quick tests, and which lines they reach"
	@echo "make lint       ruff, mypy and codespell"
	@echo "make docs       the documentation as a site in site/, warnings are errors"
	@echo "make benchmark  the 2D tables and figures of docs/results.md (long)"
	@echo "make history    time two small movies and append the figures to benchmarks/data/history.csv"
	@echo "make install    only the environment in .venv"
	@echo "CPU=1 with any of them takes PyTorch's small CPU build; PYTHON=python3.12 another Python"

install: $(STAMP)

# Debian without python3-venv has no ensurepip; pip (22.3 or newer) can then fill a bare environment from outside.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "autods needs Python 3.10 or newer; name one with: make PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV) >/dev/null 2>&1 || \
	  { $(PYTHON) -m venv --clear --without-pip $(VENV) && $(PYTHON) -m pip --python $(BIN)/python install -q pip; } || \
	  { rm -rf $(VENV); echo "cannot make a virtual environment: apt install python3-venv python3-pip"; exit 1; }
	$(PIP) $(TORCH) -r constraints.txt
	$(PIP) $(TORCH) -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	$(BIN)/autods demo

# One thread a worker: two workers with two threads each would fight for two cores.
test: $(STAMP)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-all: $(STAMP)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

coverage: $(STAMP)
	OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile --cov

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --clean

benchmark: $(STAMP)
	$(BIN)/autods benchmark suite=readme

# The same two small movies each time, so that the figures of commits compare on one machine.
history: $(STAMP)
	$(BIN)/autods benchmark suite=throughput suite.sizes_px=[128] suite.densities_per_um2=[0.03,1.0] suite.megapixels=3 \
	  suite.cores=[1] device=cpu history=benchmarks/data/history.csv --out runs/history

clean:
	rm -rf $(VENV) build dist site .pytest_cache .mypy_cache .ruff_cache autods_demo
