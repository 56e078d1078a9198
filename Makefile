# make audit | test | validity | check | docs | clean: each works alone, from a fresh clone, and is quick the second time.
#
# torch is installed first and by itself: on a machine without a GPU choose the small CPU build with
#     make TORCH_INDEX=https://download.pytorch.org/whl/cpu
# and the second pip run, which no longer sees that index, finds 2.13.0 satisfied and leaves it alone. In one run
# pip could take torch for opacus from the default index: gigabytes of CUDA.

PYTHON ?= python3
TORCH_INDEX ?=
VENV := .venv
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# Files of tests side by side: many wait for processes of their own. RUN= plays them one after another.
RUN ?= -n 3 --dist loadfile

.DEFAULT_GOAL := check
.PHONY: .venv audit test validity check docs clean

.venv: $(STAMP)

# Written last: an installation that broke off is repeated.
$(STAMP): pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch==2.13.0
	$(PY) -m pip install -q -c constraints.txt -e ".[dev]"
	touch $@

audit: $(STAMP)
	$(PY) examples/headline.py

test: $(STAMP)
	$(PY) -m pytest $(RUN)

# The repeated audits at the boundary, ten times as many as in `make test` and longer ones: over half an hour on two cores.
validity: $(STAMP)
	DPAUDIT_VALIDITY=deep $(PY) -m pytest $(RUN) tests/validity

check: $(STAMP)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(PY) -m pytest $(RUN)

# The documentation, offline, warnings as errors: open docs/_build/index.html
docs: $(STAMP)
	$(PY) -m sphinx -q -W --keep-going -b html docs docs/_build

# Keeps the environment (rm -rf .venv) and runs/, which holds the ledgers of finished audits.
clean:
	rm -rf build dist docs/_build docs/api/modules *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
