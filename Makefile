# Each target makes its own virtual environment if there is none; only python3 (3.11 or newer) and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# The tests are mostly CPU of servers and daemons: one process per core; files stay whole, so that session servers are few.
# Three at once keep two cores busy: much of a test is waiting for servers. In order of collection, else long single tests come last.
PYTEST_ARGS ?= -n 3 --dist loadfile --no-loadscope-reorder --durations=12
MAKEFLAGS += --no-print-directory
# Where it is set, every daemon and worker that a test starts would compile all it imports: a tenth of the time of all tests.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test check fmt proto rest-table bench clean

help:
	@echo "make demo    move a real bucket and see it verified"
	@echo "make test    all tests"
	@echo "make check   format, lint, types, import walls, proto drift"
	@echo "make rest-table  run the REST API through Huawei's client; writes docs/rest-compatibility.md"
	@echo "make bench   speed and cost beside rclone; writes bench/RESULTS.md"
	@echo "make fmt     format the code"
	@echo "make proto   generate omsd/pb from proto/"
	@echo "make clean   remove the virtual environment and caches"

demo: $(VENV)/.demo
	@$(BIN)/omsd demo

test: $(VENV)/.test
	@$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.dev
	@$(BIN)/ruff format --check --quiet . || { echo "not formatted; run: make fmt"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --strict
	@$(BIN)/python -m pytest tests/test_imports.py
	@$(BIN)/python scripts/generate_proto.py --check

fmt: $(VENV)/.dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

proto: $(VENV)/.dev
	@$(BIN)/python scripts/generate_proto.py

rest-table: $(VENV)/.test
	@OMSD_WRITE_REST_TABLE=1 $(BIN)/python -m pytest tests/rest/test_compatibility.py

bench: $(VENV)/.test
	@$(BIN)/python -m bench.run $(BENCH_ARGS)
	@$(BIN)/python -m bench.bandwidth $(if $(findstring --quick,$(BENCH_ARGS)),,--write)
	@$(BIN)/python -m bench.sync_latency $(if $(findstring --quick,$(BENCH_ARGS)),,--write)
	@$(BIN)/python -m bench.rest_load $(if $(findstring --quick,$(BENCH_ARGS)),--quick,--write)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	@echo "making $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# A larger set holds the smaller ones, so it also stamps them.
$(VENV)/.demo $(VENV)/.test $(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing omsd[$(subst .,,$(@F))]"
	@$(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check -c constraints.txt -e '.[$(subst .,,$(@F))]'
	@touch $@ $(VENV)/.demo
	@case $@ in *.dev) touch $(VENV)/.test;; esac
