# Every target sets up what it needs by itself; a second call installs nothing.
#
#   PYTHON=/path/to/python3.12   the interpreter of .venv; otherwise the newest of 3.10 to 3.13
#   TORCH=cpu                    torch's build for the CPU: far smaller than the default, with CUDA
#   VENV=.venv-3.10              another folder than .venv, for a second environment

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-all lint docs models release bench bench-peers clean

DEMO_EPOCHS := 60

VENV := .venv
RUN := $(VENV)/bin/python
SIDE_BY_SIDE := -n auto --maxprocesses 4 --dist loadfile

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: $(VENV)/ready ## Make .venv with the newest Python found, Lava and all tools

demo: $(VENV)/ready ## Train, export and run an ECG network on Lava, and compare with the float network
	@mkdir -p demo
	$(VENV)/bin/brf-lava train --task ecg --epochs $(DEMO_EPOCHS) --out demo/model.pt --restart --overwrite
	$(VENV)/bin/brf-lava export demo/model.pt demo/net.h5
	$(VENV)/bin/brf-lava run demo/net.h5 --backend sim --out demo/run.json
	$(VENV)/bin/brf-lava report demo --out demo/report.html
	@echo "Open demo/report.html in a browser. Next: your own data, docs/tutorials/own-data.md"

test: lint ## Lint, types and the quick tests
	@$(RUN) -m pytest $(SIDE_BY_SIDE) -m "not slow"

test-all: lint ## The same with the slow tests
	@$(RUN) -m pytest $(SIDE_BY_SIDE)

lint: $(VENV)/ready ## ruff and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

docs: $(VENV)/ready ## Build the site in build/site; a warning is an error
	@echo "Building the site and executing its notebooks: some minutes."
	@NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

models: $(VENV)/ready ## Train and export ECG BRF and BHRF, S-MNIST, PS-MNIST into models/: hours
	@$(RUN) -m tools.models models

release: $(VENV)/ready ## Try a release: wheel and sdist, installed and run in an empty environment
	@tools/release.sh $(RUN) "$(TORCH)"

bench: $(VENV)/ready ## Run the benchmarks
	@$(RUN) -m benchmarks

bench-peers: $(VENV)-peers/ready ## The same training step in other libraries, in .venv-peers
	@$(VENV)-peers/bin/python -m benchmarks peers

$(VENV)-peers/ready: benchmarks/peers.txt $(VENV)/ready
	$(RUN) -m venv --clear $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install -qq --editable . -r benchmarks/peers.txt
	@touch $@

clean: ## Remove the environment, caches and build output
	rm -rf $(VENV) $(VENV)-peers .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find brf_lava tests -name __pycache__ -type d -exec rm -rf {} +

# The stamp is written last: a set-up that was interrupted has none and is taken up again.
$(VENV)/ready: pyproject.toml constraints.txt brf_lava/lava-wheels.txt
	@tools/setup_venv.sh $(VENV) "$(PYTHON)" "$(TORCH)"
	@touch $@
