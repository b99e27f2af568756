# The two commands: `make demo` and `make test`. Both do all their own set-up and redo nothing that is done.

VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
WORKERS ?= auto
BENCH ?=

.PHONY: demo test check serve bench constraints clean help

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/installed  ## ingest real text, ask three questions, show the log
	@$(BIN)/rag --data .demo/data demo

test: $(VENV)/tested  ## every test
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/tested  ## style, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

serve: $(VENV)/installed  ## the API on 127.0.0.1:8000 over the demo's data
	$(BIN)/rag --data .demo/data serve

bench: $(VENV)/tested  ## ours beside its peers, which get an environment of their own; results under benchmarks/results
	$(BIN)/python benchmarks/retrieval.py $(BENCH)

# Bytecode is made by all cores at once; pip would use one of them. What cannot be compiled is a sample of its package.
# A third of all is read by nobody: packages' own tests, hundreds of models, torch's compilers. Python compiles those that are.
UNREAD = /(tests?|mypy|transformers/models|torch/_inductor|torch/testing)/
define install
	@echo "Setting up $(VENV) (about 1.7 GB on disk, most of it torch): a few minutes, once."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) torch
	@$(PIP) --editable "$(1)"
	@$(BIN)/python -m compileall -qq -j 0 -x '$(UNREAD)' $(VENV)/lib || true
endef

$(VENV)/installed: pyproject.toml constraints.txt
	$(call install,.)
	@touch $@

$(VENV)/tested: pyproject.toml constraints.txt
	$(call install,.[test])
	@touch $(VENV)/installed $@

constraints: $(VENV)/tested  ## pin what is installed now
	@{ echo "# Every dependency, direct and transitive, at the version the project was last tested with."; \
	   echo "# Remake with: make constraints"; \
	   $(BIN)/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > constraints.txt

clean:
	rm -rf .demo dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
