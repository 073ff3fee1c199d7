# Every target does its own set-up: Python 3.11 or newer and make are all that a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Python keeps what it compiled, whatever the environment says: tests start dozens of processes.
export PYTHONDONTWRITEBYTECODE :=
PYTEST := PYTHONHASHSEED=$$(date +%s) $(BIN)/pytest --dist worksteal

.PHONY: demo test test-slow conformance check chaos bench wheel lock clean run-environment dev-environment \
  browser-environment wheel-environment

# make demo ARGS=--once ends after the traffic.
demo: run-environment
	$(BIN)/vkp-gateway demo $(ARGS)

# Three processes keep two cores busy, since tests wait for sockets too. All must collect the same tests in the same
# order, so they share a seed of hashes; each run has another.
test: dev-environment
	$(BIN)/vkp-gateway doctor --transparency
	$(PYTEST) -n 3 -m "not slow"

# Random requests, machines of states, killed processes, load, a browser: what `make test` leaves out.
test-slow: browser-environment
	$(PYTEST) -n 2 -m slow

# The tests that prove documented facts; docs/conformance.md is written anew when they pass.
conformance: dev-environment
	$(BIN)/pytest --conformance

check: dev-environment
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/vkp-gateway check

# The test of killed gateways in full, with what became of its messages; another CHAOS_SEED draws other moments.
chaos: dev-environment
	CHAOS_MESSAGES=5000 CHAOS_KILLS=20 $(BIN)/pytest -s tests/chaos

bench: dev-environment
	$(BIN)/python -m bench $(ARGS)

# A wheel with compiled translators, for this Python and this kind of machine, and the translators' tests against it.
wheel: wheel-environment
	rm -f dist/vkp_gateway-*.whl
	HATCH_BUILD_HOOK_ENABLE_CUSTOM=1 $(BIN)/hatchling build --target wheel --directory dist
	$(BIN)/python scripts/try_wheel.py dist/vkp_gateway-*.whl

run-environment dev-environment browser-environment wheel-environment: %-environment:
	@command -v $(PYTHON) >/dev/null || { echo "set-up: there is no $(PYTHON): install Python 3.11 or newer," \
	  "or name it with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 6))' || { echo "set-up: Python 3.11 or newer is needed, and" \
	  "$(PYTHON) is much older: install one, or name it with make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) scripts/setup.py $* $(VENV)

# Resolves the newest versions that pyproject.toml allows; needs uv, as nothing else does.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	  --all-extras pyproject.toml --output-file locks/dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	  --constraints locks/dev.lock --extra demo --extra postgres --extra build pyproject.toml --output-file locks/run.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	  --constraints locks/dev.lock --group browser --output-file locks/browser.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --upgrade \
	  --constraints locks/dev.lock --group wheel --output-file locks/wheel.lock

clean:
	rm -rf $(VENV) var
