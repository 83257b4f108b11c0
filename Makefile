# Everything below needs Python (3.11 or later) and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
JOBS ?= auto
DRUG := examples/imatinib.xyz

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# One thread a worker: the workers themselves keep the cores busy.
PYTEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-gpu lint docs clean distclean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /	/' | expand -t 12

demo: $(VENV)/.installed ## Relax a drug molecule and draw its convergence (into demo/)
	$(BIN)/mlseqm relax $(DRUG) --out demo

test: $(VENV)/.installed-test ## Run the test suite
	$(PYTEST) -n $(JOBS) $(ARGS)

test-slow: $(VENV)/.installed-test,reference,data ## Run the slow tests (with the reference programs)
	$(PYTEST) -n $(JOBS) -m "slow and not gpu" --timeout 7200 $(ARGS)

test-gpu: $(VENV)/.installed-test ## Run the tests that need a CUDA device
	$(PYTEST) -m gpu $(ARGS)

lint: $(VENV)/.installed-dev ## Check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.installed-docs ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean: ## Remove what was built
	rm -rf build dist site demo *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean ## Remove the environment, too
	rm -rf $(VENV)

# An install is repeated only when one of these files changes.
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing ase-mlseqm into $(VENV) (the first time takes minutes) ..."
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing ase-mlseqm[$*] into $(VENV) (the first time takes minutes) ..."
	@$(PIP) install -c constraints.txt -e ".[$*]"
	@touch $@ $(VENV)/.installed

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or later is needed; choose one with: make PYTHON=python3.x ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
