# Every target sets up what it needs by itself; a second call installs nothing.
# PYTHON=/path/to/python3.10 and MODERN_PYTHON=/path/to/python3.11 name the interpreters to use.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test test-modern lint bench clean

DEMO_EPOCHS := 60

RUN := .venv/bin/python
RUN_MODERN := .venv-modern/bin/python

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

setup: .venv/ready ## Make .venv with Python 3.10, Lava and all tools

demo: .venv/ready ## Train, export and run an ECG network on Lava, and compare with the float network
	@mkdir -p demo
	.venv/bin/brf-lava train --task ecg --epochs $(DEMO_EPOCHS) --out demo/model.pt --restart
	.venv/bin/brf-lava export demo/model.pt demo/net.h5
	.venv/bin/brf-lava run demo/net.h5 --backend sim --out demo/run.json

test: lint ## Lint, then the whole test suite in .venv
	@$(RUN) -m pytest

test-modern: .venv-modern/ready ## The test suite without Lava on Python 3.11, 3.12 or 3.13
	@$(RUN_MODERN) -m pytest

lint: .venv/ready ## ruff and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

bench: .venv/ready ## Run the benchmarks
	@$(RUN) -m benchmarks

clean: ## Remove the environments, caches and build output
	rm -rf .venv .venv-modern .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	find brf_lava tests -name __pycache__ -type d -exec rm -rf {} +

# The stamp is written last: a set-up that was interrupted has none and is taken up again.
.venv/ready: pyproject.toml constraints.txt
	@tools/setup_venv.sh .venv "$(PYTHON)" 3.10
	@touch $@

.venv-modern/ready: pyproject.toml constraints.txt
	@tools/setup_venv.sh .venv-modern "$(MODERN_PYTHON)" 3.11 3.12 3.13
	@touch $@
