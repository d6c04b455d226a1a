# Everything runs in .venv, which is made from pyproject.toml and constraints.txt when missing.
PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
SECURITY := $(VENV)/.security
INSTALL = $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
# Threads that spin while they wait make small steps on shared cores several times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test check wheel format bench torture mlflow clean help

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: $(STAMP) ## set up, run both products on the samples, show lists and alerts
	$(VENV)/bin/recsys demo

test: $(STAMP) ## set up and run the tests
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile

check: $(STAMP) ## format, lint, types, layers
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

wheel: $(STAMP) ## build the wheel, install it apart, and work with it in an empty folder
	.ci/wheel

format: $(STAMP) ## format and mend what can be mended
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

bench: $(STAMP) ## run every benchmark and write docs/benchmarks.md; takes hours
	$(VENV)/bin/python benchmarks/run_all.py $(if $(DATA),--data $(DATA))

torture: $(STAMP) ## kill, corrupt, refuse and race by the thousand; prints the table of docs/reliability.md
	$(VENV)/bin/python tests/torture $(if $(SEED),--seed $(SEED))

mlflow: $(STAMP) ## start a tracking server on the loopback address
	./mlflow/serve.sh

sbom: $(SECURITY) ## write build/sbom.json: what is installed, as CycloneDX
	@mkdir -p build
	$(VENV)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-format JSON --output-file build/sbom.json $(VENV)/bin/python

audit: $(SECURITY) ## look up advisories on the pinned packages; needs a network
	@mkdir -p build && rm -f build/audit.json
	@$(VENV)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip --progress-spinner off --format json --output build/audit.json > build/audit.log 2>&1 || true
	@$(VENV)/bin/python -c "$$AUDIT_RESULT"

# pip-audit says "no known vulnerabilities" too where it could look up none.
define AUDIT_RESULT
import json, pathlib, sys
path = pathlib.Path("build/audit.json")
packages = json.loads(path.read_text())["dependencies"] if path.exists() else []
checked = [one for one in packages if "skip_reason" not in one]
if not checked:
    sys.exit(print("audit: not done, the advisory service gave no answer; see build/audit.log"))
found = [(one, fault) for one in checked for fault in one["vulns"]]
for one, fault in found:
    print(one["name"], one["version"], fault["id"], "mended in", *fault["fix_versions"])
print(f"audit: {len(checked)} of {len(packages)} packages looked up, {len(found)} advisories")
sys.exit(1 if found else 0)
endef
export AUDIT_RESULT

clean: ## remove the environment and everything that was generated
	rm -rf $(VENV) build runs mlflow/store .mypy_cache .ruff_cache .pytest_cache

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "expected Python 3.11 or later, got " + sys.version.split()[0] + "; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --editable ".[dev]"
	@touch $@

$(SECURITY): $(STAMP)
	$(INSTALL) --editable ".[dev,security]"
	@touch $@
