# Two commands do all the set-up: `make chat` and `make test`. Each makes .venv the first time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: chat serve train-demo test check bench reference clean

chat: $(VENV)/installed
	@$(BIN)/chatbot

serve: $(VENV)/installed
	$(BIN)/chatbot serve

train-demo: $(VENV)/installed
	$(BIN)/chatbot adapter train examples/grandmother.jsonl --name rosa \
		--system "You are Rosa, a kind grandmother."

test: $(VENV)/installed-test
	$(BIN)/pytest -n 2 tests

check: $(VENV)/installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m docs.reference --check

bench: $(VENV)/installed-test
	$(BIN)/python -m benchmarks

reference: $(VENV)/installed
	$(BIN)/python -m docs.reference

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml | $(VENV)/bin/pip
	@echo "Installing into $(VENV); this takes a few minutes the first time." >&2
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/installed
