PYTHON ?=
UV ?= uv
ARGS ?=
PY := .venv/bin/python
STAMP := .venv/.setup-stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check bench bench-peers docs docs-check figures lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Build .venv from requirements.lock (PYTHON=... chooses the interpreter)

$(STAMP): requirements.lock pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" sh scripts/setup.sh $@

demo: setup ## Run the guided tour
	.venv/bin/adabasis demo

test test-slow: export OMP_NUM_THREADS := 1
test test-slow: export OPENBLAS_NUM_THREADS := 1

test: setup ## Run the tests (ARGS="-k pou" passes options on)
	$(PY) -m pytest -n 2 --dist worksteal $(ARGS)

test-slow: setup ## Run the tests marked slow
	$(PY) -m pytest -n 2 --dist worksteal -m slow $(ARGS)

check: setup ## Lint, check formatting, types and architecture
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PY) -m pytest tests/test_architecture.py -q

bench: export OMP_NUM_THREADS := 1
bench: setup ## Run the benchmarks (ARGS="step-ratio --quick" passes options on)
	$(PY) -m benchmarks $(ARGS)

bench-peers: .venv-bench/.setup-stamp ## Build .venv-bench, which holds the heavy peers

# pykan does not name the last three.
.venv-bench/.setup-stamp: | $(STAMP)
	$(PY) -m venv --clear .venv-bench
	.venv-bench/bin/python -m pip --disable-pip-version-check install --quiet torch==2.13.0 \
		lightgbm catboost pytabkit scikit-learn numpy pandas pykan pyyaml matplotlib tqdm \
		deepxde jinns xgboost-cpu pyarrow
	touch $@

docs: setup ## Build the documentation into docs/_build/html
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

docs-check: setup ## Check links and accessibility of the built pages (axe-core, if installed)
	$(PY) scripts/check_pages.py $(ARGS)

figures: setup ## Reproduce every figure at reduced size
	.venv/bin/adabasis reproduce --all --quick

# Pins already in the file are kept where they still fit; LOCK_FLAGS=--upgrade renews them.
# "fewest" locks one version of each package for every Python, so that numbers agree.
lock: ## Resolve requirements.lock (needs uv on PATH, or UV=...)
	@printf '%s\n' 'jax<0.11' hatchling editables | $(UV) pip compile pyproject.toml - \
		--extra dev --extra docs --universal --python-version 3.11 --fork-strategy fewest \
		--generate-hashes --no-annotate --custom-compile-command 'make lock' \
		--quiet --output-file requirements.lock $(LOCK_FLAGS)

clean: ## Remove everything the other targets write, except .venv
	rm -rf build dist figures adabasis-demo docs/_build \
		.hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name .venv\* -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
