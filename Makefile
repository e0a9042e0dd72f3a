# What a fresh machine needs beyond Python >= 3.10, a C compiler and Rust is fetched into .venv and target/.

PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
FUZZ_SECONDS ?= 60

python := $(abspath $(VENV))/bin/python
# Cargo's own flag: a build that would have to change Cargo.lock fails instead.
locked := --locked
# What the extension is made of. It is built again when one of these is newer than its last release build, and
# when the extension itself is newer (a debug build took its place) or gone.
native_sources := Cargo.toml Cargo.lock pyproject.toml $(shell find crates -name '*.rs' -o -name Cargo.toml) \
	$(or $(wildcard python/npyfeed/_native*.so),always)

MAKEFLAGS += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.NOTPARALLEL: # the order of the steps is part of their meaning, and cargo uses every core by itself
.DEFAULT_GOAL := help

# maturin refuses to choose between two environments, and the one of this Makefile is meant.
unexport CONDA_PREFIX PYTHONHOME
export VIRTUAL_ENV := $(abspath $(VENV))
export PYO3_PYTHON := $(python)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_QUIET := 1
export CARGO_TERM_QUIET := true

step = @printf '\n== %s\n' '$(1)'

##@ Use

.PHONY: demo
demo: $(VENV)/.stamp-demo native ## train a network on real digits, from .npy files to accuracy
	$(call step,demo)
	@$(python) examples/digits.py

.PHONY: bench
bench: $(BENCH_VENV)/.stamp native ## measure against the peers; writes a record under bench/record/
	$(call step,bench)
	@PYTHONPATH=python $(BENCH_VENV)/bin/python bench/run.py
	@PYTHONPATH=python $(BENCH_VENV)/bin/python bench/cold.py --record

##@ Work

.PHONY: check
check: fmt clippy ruff mypy native cargo-test pytest-fast ## the fast half of `test`, before each commit
	@printf '\ncheck: passed\n'

.PHONY: test
test: fmt clippy ruff mypy native stubtest cargo-test aarch64 pytest ## everything; ends with the summary of pytest

.PHONY: build
build: $(VENV)/.stamp-dev native ## the release extension, in .venv, ready to import

# The seeds are the test data; what is found beyond them goes to fuzz/corpus. Without a sanitizer, so that stable
# Rust will do: what parses has no `unsafe`, and a panic is the find. fuzz/README.md has the run with one.
.PHONY: fuzz
fuzz: rust $(VENV)/bin/cargo-fuzz ## feed every fuzz target for FUZZ_SECONDS (60); needs a C++ compiler
	@cargo_fuzz='$(abspath $(VENV))/bin/cargo-fuzz'; cd fuzz && targets=$$("$$cargo_fuzz" list) || exit 1; \
	for target in $$targets; do \
		printf '\n== fuzz %s, %s s\n' "$$target" '$(FUZZ_SECONDS)'; \
		mkdir -p "corpus/$$target" || exit 1; \
		"$$cargo_fuzz" run --sanitizer none "$$target" "corpus/$$target" ../testdata/valid ../testdata/hostile -- \
			-max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; \
	done

.PHONY: clean
clean: ## remove what was built; .venv stays (3 GB of downloads), `rm -r .venv` removes it
	@cargo clean
	@rm -rf .mypy_cache .pytest_cache .ruff_cache dist fuzz/target
	@rm -f python/npyfeed/_native*.so $(VENV)/.stamp-native
	@find bench examples python testdata -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# -- the steps of `check` and `test`; each can be run alone --------------------------------------------------

.PHONY: fmt clippy ruff mypy stubtest cargo-test aarch64 pytest pytest-fast
fmt: rust-tools
	$(call step,rustfmt)
	@cargo fmt --all --check
	@cargo fmt --manifest-path fuzz/Cargo.toml --check # a workspace of its own

# All crates, with the extension, which cargo's default members leave to maturin.
clippy: rust-tools $(python)
	$(call step,clippy)
	@cargo clippy $(locked) --workspace --all-targets -- -D warnings
	@# The fuzz targets too, or they rot. The path keeps libfuzzer-sys from compiling its C++: nothing is linked here.
	@CUSTOM_LIBFUZZER_PATH=/none/libfuzzer.a cargo clippy $(locked) --manifest-path fuzz/Cargo.toml -- -D warnings

ruff: $(VENV)/.stamp-dev
	$(call step,ruff)
	@$(python) -m ruff check
	@$(python) -m ruff format --check

mypy: $(VENV)/.stamp-dev
	$(call step,mypy)
	@$(python) -m mypy

stubtest: $(VENV)/.stamp-dev native
	$(call step,stubtest)
	@$(python) -m mypy.stubtest --mypy-config-file pyproject.toml npyfeed._native

# The kernels for AArch64, under qemu on other CPUs; says what is missing where it cannot run.
aarch64: rust
	$(call step,kernels for AArch64)
	@.ci/aarch64

# The dev profile: overflow checks and debug_asserts are on, and documentation examples run.
cargo-test: rust
	$(call step,cargo test)
	@cargo test $(locked) --quiet

pytest: $(VENV)/.stamp-dev native
	$(call step,pytest)
	@$(python) -m pytest

pytest-fast: $(VENV)/.stamp-dev native
	$(call step,pytest without slow tests)
	@$(python) -m pytest -m 'not slow'

# -- what is made once ---------------------------------------------------------------------------------------

.PHONY: rust rust-tools always
rust:
	@cargo --version >/dev/null 2>&1 || { \
		echo 'no Rust: `cargo` cannot be run; install it from https://rustup.rs' >&2; exit 1; }

rust-tools: rust
	@cargo fmt --version >/dev/null 2>&1 || { \
		echo 'no rustfmt: add it with `rustup component add rustfmt`' >&2; exit 1; }
	@cargo clippy --version >/dev/null 2>&1 || { \
		echo 'no clippy: add it with `rustup component add clippy`' >&2; exit 1; }

$(python):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
		echo '$(PYTHON) is missing or older than 3.10; name a newer one: make PYTHON=python3.12 ...' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -f $(python); \
		echo 'no venv: on Debian and Ubuntu, `apt install python3-venv` adds it' >&2; exit 1; }

$(VENV)/.stamp-pip: | $(python)
	@$(python) -m pip install --upgrade 'pip>=25.1' # the first that reads dependency groups
	@touch $@

$(VENV)/.stamp-demo: pyproject.toml | $(VENV)/.stamp-pip
	@echo 'installing what the demo needs: torch, scikit-learn, maturin (about 3 GB with CUDA, once)'
	@$(python) -m pip install --group demo
	@touch $@

$(VENV)/.stamp-dev: pyproject.toml | $(VENV)/.stamp-pip
	@echo 'installing what the tests need: torch, torchvision, scikit-learn, linters (about 3 GB with CUDA, once)'
	@$(python) -m pip install --group dev
	@touch $(VENV)/.stamp-demo $@

# The Python of $(VENV), for which the extension is built.
$(BENCH_VENV)/.stamp: bench/requirements.txt | $(python)
	@echo 'installing the peers: torch, TensorFlow, DALI and others (about 8 GB, once)'
	@$(python) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --requirement bench/requirements.txt
	@$(BENCH_VENV)/bin/python -m pip install ffcv >/dev/null 2>&1 || \
		echo 'without FFCV, which is built here: on Debian, apt install g++ pkg-config libopencv-dev libturbojpeg0-dev'
	@touch $@

.PHONY: native
native: $(VENV)/.stamp-native

# `--group demo`, since maturin installs the group `dev` when it is told of none.
$(VENV)/.stamp-native: $(native_sources) | rust $(VENV)/.stamp-demo
	$(call step,release extension)
	@$(python) -m maturin develop $(locked) --release --quiet --group demo
	@touch $@

$(VENV)/bin/cargo-fuzz: | rust $(python)
	@echo 'installing cargo-fuzz into $(VENV)'
	@cargo install cargo-fuzz $(locked) --root $(VENV)
