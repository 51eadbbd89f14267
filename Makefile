VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: demo test lint reference docs dist bench fuzz clean

demo: $(READY)          ## render the example session into stems/ and say where the stems are
	$(BIN)/stembridge demo

test: lint              ## lint, types and all tests
	$(BIN)/pytest -n auto

lint: $(READY)         ## style and types; tests/typing also as editors see it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

reference: $(READY)     ## rewrite docs/reference.md and docs/api.md from the code
	$(BIN)/python -m docs.make_reference
	$(BIN)/python -m docs.make_api

docs: $(READY)          ## the site of README and docs, into dist/site; warnings are errors, internal links are checked
	$(BIN)/sphinx-build -W --keep-going --quiet -c docs . dist/site
	$(BIN)/python -m docs.check_site dist/site

dist: $(READY)          ## wheel and source distribution into dist/, checked
	rm -f dist/stembridge-*
	$(BIN)/python -m build --quiet --outdir dist .
	$(BIN)/twine check --strict dist/stembridge-*
	$(BIN)/python scripts/check_dist.py dist

bench: $(READY)         ## speed and quality beside the peers, DATA=folder of recordings; writes benchmarks/results
	$(BIN)/python -m benchmarks --data $(DATA)

fuzz: $(READY)          ## read 10,000 mutations of each kind of file that comes from anywhere; takes an hour
	$(BIN)/python -m tests.fuzz

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) stems dist
