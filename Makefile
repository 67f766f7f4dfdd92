# Two commands: `make demo` runs the whole of SELMA on bundled models, `make test` passes the tests.
PYTHON      ?= python3
VENV        ?= .venv
CONSTRAINTS ?= constraints/cpu.txt
PIP_ARGS    ?=
BIN          = $(VENV)/bin
STORE       ?= selma-store

.PHONY: setup demo demo-llm test test-all lint types contracts docs wheel check clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(wildcard constraints/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: SELMA needs Python >= 3.11; name one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -q -c $(CONSTRAINTS) $(PIP_ARGS) -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/selma run shapes --store $(STORE)

demo-llm: setup
	$(BIN)/python -m pip install --disable-pip-version-check -q -c $(CONSTRAINTS) $(PIP_ARGS) -e '.[llama-cpp]'
	$(BIN)/selma models fetch smollm2_135m
	$(BIN)/selma run shapes_llm --store $(STORE)

test: setup
	$(BIN)/python -m pytest -m 'not slow'

test-all: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

contracts: setup
	$(BIN)/lint-imports

docs: setup
	$(BIN)/python -m pip install --disable-pip-version-check -q -c $(CONSTRAINTS) $(PIP_ARGS) -e '.[docs]'
	$(BIN)/mkdocs build --strict

wheel: setup
	$(BIN)/python -m build --wheel

check: lint types contracts test

clean:
	rm -rf $(VENV) dist build site
