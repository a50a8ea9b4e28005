# Bootstraps a virtualenv and hands over to Invoke; the tasks themselves are in tasks.py.
PYTHON ?= python3
VENV   := .venv

.PHONY: demo test
demo: $(VENV)/run.ready
	@$(VENV)/bin/inv demo

test: $(VENV)/dev.ready
	@$(VENV)/bin/inv test

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tagship needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)

# Every download is checked against the hashes in requirements/*.lock.
$(VENV)/%.ready: requirements/%.lock pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) from requirements/$*.lock"
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/$*.lock
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
