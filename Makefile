PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
RUNS ?= demo

PYTEST := $(BIN)/pytest
# In parts: a process that has traced the graphs of many tests becomes slower and slower.
training := tests/training
models := tests/models tests/layers
cli := tests/cli
tools := tests/benchmark tests/tools
uses := tests/serving tests/prediction tests/report tests/interpretation
PARTS := cli uses training models tools

.PHONY: help install constraints demo test test-rest $(PARTS:%=test-%) lint bench clean

help:  ## List the targets.
	@grep -hE "^[a-z]+:.*##" $(MAKEFILE_LIST) | sed "s/:.*## /\t/" | expand -t 12

install: $(VENV)/.installed  ## Make .venv with the package and its development tools.

$(VENV)/.installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

constraints:  ## Pin all that the package may need anew, in constraints.txt.
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile setup.cfg --universal --python-version 3.10 --upgrade \
		--extra dev --extra gpu --extra hic --extra peaks --extra serving \
		--no-annotate --quiet \
		--custom-compile-command "make constraints" --output-file constraints.txt

demo: install  ## Simulate a genome, convert, fit, evaluate, export (about 5 minutes).
	$(BIN)/seqexp-tf demo --out $(RUNS)

test: install  ## Run every test, two parts at a time.
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target \
		$(PARTS:%=test-%) test-rest

$(PARTS:%=test-%): test-%: install
	$(PYTEST) $($*)

test-rest: install
	$(PYTEST) $(foreach part,$(PARTS),$($(part):%=--ignore=%))

lint: install  ## Check style.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

bench: install  ## Measure conversion, input pipeline and training.
	$(BIN)/python tools/bench_convert.py
	$(BIN)/python tools/bench_pipeline.py
	$(BIN)/python tools/bench_training.py

clean:  ## Remove what the targets made.
	rm -rf $(VENV) demo
