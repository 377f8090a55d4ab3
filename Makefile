# phiserve: `make serve` and `make test` set up everything they need.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/pip --disable-pip-version-check
TORCH := torch==2.13.0+cpu
TORCH_INDEX := https://download.pytorch.org/whl/cpu
ARGS ?=
STATE ?= $(HOME)/.cache/phiserve/demo-training
WORKERS ?= 2
PYTEST := $(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadgroup --no-loadscope-reorder
HOSTILE := tests/unit/test_hostile_images.py tests/unit/test_hostile_pdfs.py tests/e2e/test_hostile_images.py tests/e2e/test_images_elsewhere.py

.PHONY: serve check test test-unit coverage conformance clients bench hostile demo-model demo-eval lint types imports docs lock clean

serve: $(VENV)/.runtime ## serve the embedded default on 127.0.0.1:8000; pass flags in ARGS
	$(VENV)/bin/phiserve serve $(ARGS)

check: $(VENV)/.dev ## lint, types, import rules and all tests that need no engine: some two minutes, before every commit
	$(MAKE) --jobs=2 --output-sync=target lint imports types test-unit

test: $(VENV)/.dev ## everything that runs without a GPU
	$(PYTEST) $(ARGS)

test-unit: $(VENV)/.dev ## only what needs no engine
	$(PYTEST) tests/unit tests/benchmarks tests/demo $(ARGS)

coverage: $(VENV)/.dev ## everything that runs without a GPU, and which lines of the package it reaches; a third slower
	$(PYTEST) --cov --cov-report=term $(ARGS)

conformance: $(VENV)/.dev ## other people's test suites against our server, in an environment of their own; some twelve minutes, without AVX-512 half an hour
	PYTHONPATH=tests $(VENV)/bin/python -m conformance.run $(ARGS)

clients: $(VENV)/.dev ## real clients, each in its own environment, against our server, see conformance/CLIENTS.md; ARGS="NAME …" for some
	PYTHONPATH=tests $(VENV)/bin/python -m conformance.client_runs $(ARGS)

bench: $(VENV)/.dev ## phiserve, plain vLLM and transformers side by side, more than an hour; ARGS="--short" for a look, see benchmarks/README.md
	$(VENV)/bin/python -m benchmarks.run $(ARGS)

demo-model: $(VENV)/.dev ## train the embedded model anew, hours on two cores; goes on where it was ended (STATE)
	$(VENV)/bin/python -m demo.train_tower $(STATE)
	$(VENV)/bin/python -m demo.train_projection $(STATE)
	$(VENV)/bin/python -m demo.train $(STATE)
	$(VENV)/bin/python -m demo.train_further $(STATE)
	$(VENV)/bin/python -m demo.train_shop $(STATE)
	$(VENV)/bin/python -m demo.train_letters $(STATE)
	$(VENV)/bin/python -m demo.export $(STATE)

demo-eval: $(VENV)/.dev ## measure the embedded model through the server and write its card
	$(VENV)/bin/python -m demo.evaluate $(ARGS)

hostile: $(VENV)/.dev ## ask a server about hostile images and addresses, and count what becomes of them in conformance/HOSTILE.md
	HOSTILE_RESULTS=write $(VENV)/bin/python -m pytest $(HOSTILE) $(ARGS)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

types: $(VENV)/.dev ## of the package, tests, clients and benchmarks
	$(VENV)/bin/mypy

imports: $(VENV)/.dev
	$(VENV)/bin/lint-imports

docs: $(VENV)/.dev ## write the tables in docs/ and ARCHITECTURE.md from the code
	$(VENV)/bin/python docs/write.py

lock: $(VENV)/.dev ## resolve dependencies anew
	$(VENV)/bin/python requirements/relock.py

clean:
	rm -rf $(VENV) .venv-conformance .venv-clients .venv-bench-* build *.egg-info

# The CPU build of torch comes from PyTorch's own index where that answers, else from wherever pip is configured to look.
$(VENV)/.runtime: requirements/cpu.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	  || { echo "phiserve needs Python 3.11 to 3.13; set PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null \
	  || { echo "vLLM's CPU backend needs libnuma.so.1: apt-get install libnuma1"; exit 1; }
	$(PYTHON) -m venv $(VENV) \
	  || { $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; }
	if $(PYTHON) -c 'import urllib.request as u; u.urlopen("$(TORCH_INDEX)/torch/", timeout=5)' 2>/dev/null; \
	  then $(PIP) install --quiet --no-deps --index-url $(TORCH_INDEX) $(TORCH); \
	  else $(PIP) install --quiet --no-deps $(TORCH); fi
	grep -v '^torch==' requirements/cpu.lock > $(VENV)/requirements.txt
	$(PIP) install --quiet --no-deps -r $(VENV)/requirements.txt
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.lock
	$(PIP) install --quiet --no-deps -r requirements/dev.lock
	touch $@
