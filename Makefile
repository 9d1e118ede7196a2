# Two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin

.PHONY: demo test lint clean

demo: $(VENV)/.cpu
	$(RUN)/reverie animate tests/data/demo.jpg --out demo.mp4 --force

test: $(VENV)/.test
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/python -m pytest

lint: $(VENV)/.test
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .
	$(RUN)/mypy

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.cpu: pyproject.toml | $(VENV)/bin/pip
	$(RUN)/pip install --quiet --disable-pip-version-check --editable '.[cpu]'
	@touch $@

# torch goes first and pinned: where a CPU build of it is at hand, pip then takes that one.
$(VENV)/.test: pyproject.toml | $(VENV)/bin/pip
	$(RUN)/pip install --quiet --disable-pip-version-check 'torch==2.13.0'
	$(RUN)/pip install --quiet --disable-pip-version-check --editable '.[cpu,test]'
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info demo.mp4
