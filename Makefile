# The few commands of the project. Each sets up what it needs in .venv, and nothing outside.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --no-cache-dir
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint types signals fuzz faults floors bounds wire bench bench-concurrency bench-jobs live images clean

demo: .venv/demo
	$(BIN)/python examples/demo.py

test: .venv/dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses auto --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: .venv/dev
	$(BIN)/mypy
	$(BIN)/python -m tests.docs.pages
	$(BIN)/mypy out/blocks
	$(BIN)/basedpyright

signals: .venv/dev
	$(BIN)/python benchmarks/signals.py

# What is fuzzed, by default all, and for how long each [s].
FUZZ =
FUZZ_SECONDS = 600

fuzz: .venv/dev
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python benchmarks/fuzz.py $(FUZZ)

faults: .venv/dev
	$(BIN)/python benchmarks/faults.py

bounds: .venv/dev
	$(BIN)/python benchmarks/bounds.py

wire: .venv/dev
	$(BIN)/python benchmarks/wire.py

floors: .venv/dev
	$(PIP) --group floors
	$(BIN)/python benchmarks/floors.py

bench: .venv/bench
	$(BIN)/python benchmarks/bench.py

bench-concurrency: .venv/bench
	$(BIN)/python benchmarks/overload.py
	$(BIN)/python benchmarks/concurrency.py

bench-jobs: .venv/dev
	$(BIN)/python benchmarks/jobs.py

# Empty here, so that they come from the command line of make, which hands them on, and never from
# the environment.
TOKEN =
CREDITS =
URL =

live: .venv/dev
	$(BIN)/python benchmarks/live.py

images: .venv/demo
	$(BIN)/python examples/make_images.py

clean:
	rm -rf .venv out .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(PIP) --upgrade pip

.venv/demo: .venv/bin/python pyproject.toml
	$(PIP) --editable '.[all]'
	touch $@

.venv/dev: .venv/demo
	$(PIP) --group dev
	touch $@

.venv/bench: .venv/dev
	$(PIP) --group bench
	touch $@
