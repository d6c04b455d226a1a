# Everything runs in .venv, which is made from pyproject.toml and constraints.txt when missing.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
# Threads that spin while they wait make small steps on shared cores several times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test check format bench mlflow clean help

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(STAMP) ## set up, run both halves on the samples, show lists and alerts
	$(VENV)/bin/recsys demo

test: $(STAMP) ## set up and run the tests
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

check: $(STAMP) ## format, lint, types, layers
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(STAMP) ## format and mend what can be mended
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(STAMP) ## run every benchmark and write docs/benchmarks.md; takes hours
	$(VENV)/bin/python benchmarks/run_all.py $(if $(DATA),--data $(DATA))

mlflow: $(STAMP) ## start a tracking server on the loopback address
	./mlflow/serve.sh

clean: ## remove the environment and everything that was generated
	rm -rf $(VENV) runs mlflow/store .mypy_cache .ruff_cache .pytest_cache

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "expected Python 3.11 or later, got " + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[dev]"
	@touch $@
