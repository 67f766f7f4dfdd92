# Two commands: `make demo` runs the whole of SELMA on bundled models, `make test` passes the tests.
PYTHON      ?= python3
VENV        ?= .venv
CONSTRAINTS ?= constraints/cpu.txt
PIP_ARGS    ?=
BIN          = $(VENV)/bin
PIP          = $(BIN)/python -m pip install --disable-pip-version-check -q -c $(CONSTRAINTS) $(PIP_ARGS)
STORE       ?= selma-store
# Test processes, one thread each
WORKERS     ?= 2

# The shapes world's ablations, in an order that shares the most work, and where their pictures go
ABLATIONS   ?= selma_table2 rank_and_steps lora_vs_dora_vs_full selma_gt_vs_auto selma_llm selma_weak_to_strong merging \
               longalign_lengths longalign_omega finerewards_assembly sur_ablation
RESULTS     ?= results

.PHONY: setup setup-llm demo demo-llm ablations test test-all lint types contracts docs wheel check clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml $(wildcard constraints/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make: SELMA needs Python >= 3.11; name one: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/selma run shapes --store $(STORE)

# A small real language model and what runs it on a CPU.
setup-llm: setup
	$(PIP) -e '.[gguf,llama-cpp]'
	$(BIN)/selma models fetch smollm2_135m

demo-llm: setup-llm
	$(BIN)/selma run shapes_llm --until prompts --store $(STORE)

ablations: setup
	mkdir -p $(RESULTS)
	set -e; for name in $(ABLATIONS); do \
	  $(BIN)/selma ablate $$name --store $(STORE) --picture $(RESULTS)/$$name.svg --json > $(RESULTS)/$$name.json; done

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' -n $(WORKERS) --dist loadfile

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
	$(PIP) -e '.[docs]'
	$(BIN)/mkdocs build --strict

wheel: setup
	$(BIN)/python -m build --wheel

check: lint types contracts test

clean:
	rm -rf $(VENV) dist build site
