# Every target sets up what it needs; see README.md.
SHELL := /bin/bash
PY    := .venv/bin/python
JOBS  ?= $(shell nproc)

.PHONY: help setup images lab demo test test-all lint format clean doctor test-isa test-mlperf fuzz
help:
	@echo "make demo      the whole loop on a simulated RISC-V SoC; results in build/demo"
	@echo "make test      all tests but the slow ones"
	@echo "make test-all  all tests"
	@echo "make test-isa ISA_TESTS=DIR   riscv-tests or riscv-arch-test on the simulated SoC"
	@echo "make test-mlperf RUNNER=DIR   the public MLPerf Tiny runner's device class against our firmware"
	@echo "make fuzz      libFuzzer on the firmware's parsers, FUZZ_SECONDS=600 (clang-14, libclang-rt-14-dev)"
	@echo "make lint      ruff, mypy, verilator --lint-only, clang-format"
	@echo "make format    ruff format and clang-format, in place"
	@echo "make bench-X   one benchmark of tests/bench; writes build/bench/X.json"
	@echo "make experiment-X   one experiment of hil/experiments, or all; writes build/experiments/X"
	@echo "make images    container images, on the engine that runs here; IMAGES=soc for one"
	@echo "make lab       containers: four SoCs, BitFusion, a database, and a campaign on them (docker/README.md)"
	@echo "make doctor    what is installed, and what is missing with its cure"
	@echo "make clean     removes build/ (trained weights and the store of measurements included)"

setup:
	@./setup.sh

demo: setup
	@.venv/bin/mico demo $(DEMO_ARGS)

doctor: setup
	@.venv/bin/mico doctor

images: setup
	@.venv/bin/mico images build $(IMAGES)

COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) -f docker/compose.yaml
lab: setup
	@.venv/bin/mico images build
	$(COMPOSE) up --abort-on-container-exit --exit-code-from campaign
	$(COMPOSE) down

test: setup
	$(PY) -m pytest -n $(JOBS) --dist worksteal -m "not slow" $(PYTEST_ARGS)

test-all: setup
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

# A checkout of riscv-tests, or of riscv-arch-test at old-framework-2.x
test-isa: setup
	@test -n "$(ISA_TESTS)" || { echo "make test-isa ISA_TESTS=DIR, a checkout of riscv-tests or riscv-arch-test"; exit 2; }
	$(PY) -m hil.isa "$(ISA_TESTS)"

# libFuzzer on the firmware's frame reader, loader and console
FUZZ_SECONDS ?= 600
fuzz: setup
	$(PY) -m tests.firmware.fuzz.run --seconds $(FUZZ_SECONDS)

# A checkout of mlcommons/tiny, or its benchmark/runner
test-mlperf: setup
	@test -n "$(RUNNER)" || { echo "make test-mlperf RUNNER=DIR, a checkout of mlcommons/tiny"; exit 2; }
	MLPERF_RUNNER="$(abspath $(RUNNER))" $(PY) -m pytest -v tests/hil/test_mlperf.py $(PYTEST_ARGS)

C_SOURCES = $(shell git ls-files 'firmware/**.[ch]' 'rtl/**.cpp' 'rtl/**.h' 'tests/**.[ch]' 'tests/**.cpp')
lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	$(PY) -m hil.verilate lint
	.venv/bin/clang-format --dry-run --Werror $(C_SOURCES)

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	.venv/bin/clang-format -i $(C_SOURCES)

experiment-%: setup
	@.venv/bin/mico experiment $* $(EXPERIMENT_ARGS)

bench-%: setup
	$(PY) -m tests.bench.$*

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
