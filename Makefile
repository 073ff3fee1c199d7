# Every target does its own set-up: Python 3.11 or newer and make are all that a machine needs.
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin

.PHONY: demo test check chaos bench lock clean

demo: $(READY)
	$(BIN)/vkp-gateway demo

# Both processes must collect the same tests in the same order, so they share a seed of hashes; each run has another.
test: $(READY)
	$(BIN)/vkp-gateway doctor --transparency
	PYTHONHASHSEED=$$(date +%s) $(BIN)/pytest -n 2 --dist worksteal

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/vkp-gateway check

# The test of killed gateways in full, with what became of its messages; another CHAOS_SEED draws other moments.
chaos: $(READY)
	CHAOS_MESSAGES=5000 CHAOS_KILLS=20 $(BIN)/pytest -s tests/chaos

bench: $(READY)
	$(BIN)/python -m bench

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

# Resolves the newest versions that pyproject.toml allows; needs uv.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes --upgrade \
	  --no-header --no-annotate pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) var
