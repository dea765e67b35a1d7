# Two commands set everything up by themselves: `make demo` and `make test`.

VENV     ?= .venv
PYTHON   ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3; do \
              "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo "$$p" && break; done)
BIN      := $(VENV)/bin
PIP      := $(BIN)/python -m pip --disable-pip-version-check
SOURCES  := src tests benchmarks tools

# Where the environment forbids Python to keep what it compiled (containers do), every process would compile it anew:
# the tests start dozens.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test install dev check format lint types contracts lab manual bench lock clean

demo: install                    ## run the whole service with a simulated fleet
	@$(BIN)/muster demo

test: dev                        ## the whole test suite, both storage engines included, on every processor
	@$(BIN)/python -m pytest -q -n auto --dist loadfile $(PYTEST_FLAGS)

install: $(VENV)/installed-runtime ## make .venv with the muster command in it

dev: $(VENV)/installed-dev

check: dev format-check lint types contracts test ## everything a change must pass

format: dev                      ## rewrite the sources in the house format
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

.PHONY: format-check
format-check: dev
	@$(BIN)/ruff format --check $(SOURCES)

lint: dev
	@$(BIN)/ruff check $(SOURCES)

types: dev
	@$(BIN)/mypy

contracts: dev                   ## the import rules of ARCHITECTURE.md
	@$(BIN)/lint-imports

lab: dev                         ## the laboratory's longer scenarios
	@$(BIN)/python -m pytest -q -m lab -n auto --dist loadfile $(PYTEST_FLAGS) tests/laboratory

manual: dev                      ## write the manual's generated pages anew
	@$(BIN)/python -c "from muster.cli.manual import settings_page; print(settings_page(), end='')" > docs/manual/settings.md
	@$(BIN)/python -c "from muster.cli.manual import simulator_page; print(simulator_page(), end='')" > docs/manual/simulator.md
	@$(BIN)/python -c "from muster.cli.verdicts_page import verdicts_page; print(verdicts_page(), end='')" > docs/manual/verdicts.md
	@$(BIN)/python -c "from muster.cli.recovery_page import recovery_page; print(recovery_page(), end='')" > docs/manual/recovery.md
	@$(BIN)/python -c "from muster.edges.api.table import openapi_page; print(openapi_page(), end='')" > docs/api/openapi.json

bench: dev                       ## needs wrk, nghttpd and PostgreSQL; prints ratios
	@$(BIN)/python -m benchmarks.connect
	@$(BIN)/python -m benchmarks.push
	@$(BIN)/python -m benchmarks.commands
	@$(BIN)/python -m benchmarks.reviews
	@$(BIN)/python -m benchmarks.pages

lock:                            ## resolve the dependencies anew (needs uv)
	uv pip compile pyproject.toml --group build --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade -q -o requirements/runtime.txt
	uv pip compile pyproject.toml --group build --group dev --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --upgrade -q -o requirements/dev.txt

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Muster needs Python 3.11 to 3.14; none was found on the PATH. Install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed-runtime: requirements/runtime.txt pyproject.toml | $(BIN)/python
	@echo "Installing Muster and its locked dependencies into $(VENV)"
	@$(PIP) install --quiet --require-hashes -r requirements/runtime.txt
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/installed-dev: requirements/dev.txt $(VENV)/installed-runtime
	@echo "Installing the tools of development into $(VENV)"
	@$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
