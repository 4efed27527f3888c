# The two commands a newcomer needs: `make demo` and `make test`.
PYTHON ?= python3
SEED ?= 0
BIN := .venv/bin

.PHONY: demo test venv clean

venv: .venv/installed

.venv/installed: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch>=2.9,<3" "torchvision>=0.24"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@# The evaluator the scoring is tested against; without its 300 MB of dependencies it needs numpy and tqdm only.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps "SoccerNet>=0.1.62"
	touch $@

test: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

clean:
	rm -rf demo build dist *.egg-info
