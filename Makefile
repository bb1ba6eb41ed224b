# One environment in .venv, nothing global. `make demo` and `make test` are all a newcomer types.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH := $(shell grep '^torch==' constraints.txt)

# Without a GPU the CPU build is preferred where its index can be reached: the default build brings gigabytes of CUDA.
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
REACHABLE := $(PYTHON) -c 'import urllib.request as u; u.urlopen("$(TORCH_CPU_INDEX)/torch/", timeout=5)' 2>/dev/null
CPU_INDEX_OPTION := { command -v nvidia-smi || ! $(REACHABLE); } >/dev/null && true || echo --index-url $(TORCH_CPU_INDEX)

.PHONY: help demo test check bench study faults memory kill-loop soak conformance qc-peers survival hostile fuzz viewer schemas docs clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

demo: $(READY) ## See the whole walk, from PACS to federated model
	$(BIN)/racoon demo $(DEMO)

test: $(READY) ## Run every test
	$(BIN)/python -m pytest $(TESTS)

check: $(READY) ## Style, types, import contracts and the house test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house

bench: $(READY) ## Run the benchmarks and print their ratios
	$(BIN)/python benchmarks/help_time.py
	$(BIN)/python benchmarks/audit.py
	$(BIN)/python benchmarks/deid.py
	$(BIN)/python benchmarks/pacs_serve.py
	if test -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so; then $(BIN)/python benchmarks/pacs_web.py; fi
	if command -v Orthanc && command -v storescp; then $(BIN)/python benchmarks/pacs_retrieve.py && $(BIN)/python benchmarks/pacs_store.py; fi
	$(BIN)/python benchmarks/pacs_memory.py
	$(BIN)/python benchmarks/rtstruct.py
	$(BIN)/python benchmarks/pacs_find_memory.py
	$(BIN)/python benchmarks/seg.py
	$(BIN)/python benchmarks/convert.py
	$(BIN)/python benchmarks/scan.py
	$(BIN)/python benchmarks/cache.py
	$(BIN)/python benchmarks/gpu.py
	$(BIN)/python benchmarks/federation_flare.py
	$(BIN)/python benchmarks/harmonize.py
	$(BIN)/python benchmarks/qc.py
	if test -e /usr/bin/chromium; then $(BIN)/python benchmarks/report_load.py; fi

study: $(READY) ## Run the study in small as its frozen protocol says; ENGINES="flower nvflare" adds real engines
	$(BIN)/python benchmarks/study/run.py --out $(or $(OUT),study) $(foreach engine,$(ENGINES),--engine $(engine))

faults: $(READY) ## Run every fault case each way it shows, and write docs/pacs-faults.md
	$(BIN)/python -m tests.pacs.fault_page

memory: $(READY) ## Take an object of 2 GiB by C-STORE, C-GET and WADO-RS and print the peaks of memory (6 GiB of disk)
	$(BIN)/python benchmarks/pacs_memory.py --mib 2047

kill-loop: $(READY) ## Kill a pull 25 times at random moments and count what is torn, lost or fetched twice
	$(BIN)/python -m tests.pacs.kill_loop

soak: $(READY) ## Run the walk under random faults for SOAK_SECONDS (ten minutes by default) and account for everything
	$(BIN)/python -m tests.soak.run --seconds $(or $(SOAK_SECONDS),600)

conformance: $(READY) ## Judge racoon and other converters on hard cases, and write docs/conformance.md
	$(BIN)/python -m tests.conformance.write $(NEW)

qc-peers: $(READY) ## Plant twelve defects before nnU-Net's check and ours, and write docs/qc-nnunet.md
	$(BIN)/python -m tests.qc.nnunet_table

survival: $(READY) ## Break NVIDIA FLARE's sites, server and parent for real, and print what the run survived (10 minutes)
	$(BIN)/python -m tests.train.flare_survival

hostile: $(READY) ## Let every hostile file meet every entry point, and write the table of docs/security.md
	$(BIN)/python -m tests.hostile.write

fuzz: $(READY) ## Fuzz every reader of strangers' bytes for FUZZ_SECONDS (an hour by default)
	$(BIN)/python -m tests.fuzz.run --seconds $(or $(FUZZ_SECONDS),3600)

viewer: ## Build the viewer's NiiVue again from npm and compare it with the committed file
	cd racoon_data/qc/viewer/niivue && npm ci --ignore-scripts --no-audit --no-fund && node build.mjs && rm -rf node_modules
	git diff --exit-code --stat racoon_data/qc/viewer/niivue

schemas: $(READY) ## Write the schemas that are generated from models
	$(BIN)/python -m tests.schemas.write

docs: $(READY) ## Write the generated pages of docs/
	$(BIN)/python -m tests.docs.write

clean: ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info[:2] < (3, 14) else "racoon needs Python 3.11 to 3.13: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet $(TORCH) $$($(CPU_INDEX_OPTION))
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[flower,nvflare,privacy,codecs,peers,docs,dev]'
	touch $(READY)
