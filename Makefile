# Every target makes the virtual environment if it is missing.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.homeostat-installed
# The packages under their import names, as links: type checkers can't follow a mapping of folders.
TYPES := $(VENV)/types/homeostat
# The packages as Python imports them, as files: what the API pages of the site are made from.
SOURCES := $(VENV)/sources

PACKAGES := agent alignment controllers envs nano sensors viewer

.PHONY: setup types demo test bench lint format typecheck docs sources notebooks evidence clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

types: setup
	rm -rf $(TYPES) && mkdir -p $(TYPES)
	for path in homeostat/* $(PACKAGES); do ln -s "$(CURDIR)/$$path" $(TYPES)/; done

demo: setup
	$(BIN)/homeostat doctor
	$(BIN)/homeostat run --task notes_add --seed 1

test: setup
	$(BIN)/python -m pytest

bench: setup
	mkdir -p runs/bench
	$(BIN)/python benchmarks/phone_speed.py --json runs/bench/phone_speed.json
	$(BIN)/python benchmarks/loop_overhead.py --json runs/bench/loop_overhead.json
	$(BIN)/python benchmarks/probe_overhead.py --json runs/bench/probe_overhead.json
	$(BIN)/python benchmarks/steer_price.py --json runs/bench/steer_price.json
	$(BIN)/python benchmarks/readout_price.py --json runs/bench/readout_price.json
	if command -v chromium >/dev/null; then $(BIN)/python benchmarks/miniwob_speed.py --json runs/bench/miniwob_speed.json; \
	else echo "no chromium: miniwob_speed.py is left out"; fi
	$(BIN)/python benchmarks/nano_answers.py --json runs/bench/nano_answers.json
	$(BIN)/python benchmarks/phone_memory.py --json runs/bench/phone_memory.json
	$(BIN)/python benchmarks/ray_workers.py --json runs/bench/ray_workers.json
	$(BIN)/python benchmarks/align_speed.py --json runs/bench/align_speed.json

typecheck: types
	$(BIN)/mypy

lint: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

sources: setup
	rm -rf $(SOURCES)
	$(BIN)/python setup.py --quiet build_py --build-lib $(SOURCES)

docs: sources
	NO_MKDOCS_2_WARNING=1 HOMEOSTAT_SOURCES=$(SOURCES) $(BIN)/mkdocs build --strict

notebooks: setup
	$(BIN)/python docs/notebook_pages.py

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

evidence: setup
	mkdir -p runs/evidence
	$(BIN)/homeostat eval --suite atomic --split test --episodes 240 --seed 1 --controllers none --json runs/evidence/atomic.json
	$(BIN)/homeostat eval --suite atomic --split test --episodes 240 --seed 1 --controllers default --json runs/evidence/atomic_default.json
	$(BIN)/homeostat eval --suite joined --split test --episodes 100 --seed 1 --controllers none --json runs/evidence/joined_none.json
	$(BIN)/homeostat eval --suite joined --split test --episodes 100 --seed 1 --controllers decompose --json runs/evidence/joined_decompose.json
	$(BIN)/homeostat eval --suite joined --split test --episodes 100 --seed 1 --controllers default --json runs/evidence/joined_default.json
	$(BIN)/homeostat eval --suite evidence --json runs/evidence/table
	$(BIN)/python benchmarks/perfect_planner.py --json runs/evidence/perfect_planner.json
	$(BIN)/python benchmarks/plan_schema.py --json runs/evidence/plan_schema.json
	$(BIN)/python benchmarks/reminder_decay.py --json runs/evidence/reminder_decay.json
	$(BIN)/python benchmarks/forest_weights.py --json runs/evidence/forest_weights.json
	$(BIN)/homeostat diagnose --count 270 --out runs/evidence/diagnose
	$(BIN)/python benchmarks/align_table.py --json runs/evidence/align_table.json
	$(BIN)/python benchmarks/align_kills.py --json runs/evidence/align_kills.json
	$(BIN)/python benchmarks/mined_round_trip.py --episodes 100 --json runs/evidence/mined.json
	$(BIN)/python benchmarks/pointing.py --steps 300 --count 400 --json runs/evidence/pointing.json

clean:
	rm -rf $(VENV) build dist *.egg-info
