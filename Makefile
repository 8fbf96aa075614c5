# Every command of the project. `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What `make demo` takes, such as: make demo PORT=8123 QUICK=1
PORT ?= 8000
HOME_DIR ?= demo
QUICK ?=
FRESH ?=
DATA ?=
NETWORK_FILE ?=
# What `make reproduce` takes besides DATA.
EXPERIMENT ?= experiments/tiny.toml
OUT ?= run
ENGINE ?= local

.DEFAULT_GOAL := help
.PHONY: help setup demo reproduce test check format migration constraints texts screenshots

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/developer ## install everything into .venv, in the exact versions of constraints.txt

$(VENV)/user: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Plainsight needs Python 3.11 to 3.13; name one with: make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "Install Python's venv module first (Debian: python3-venv)."; exit 2; }
	@echo "Installing Plainsight into $(VENV) (PyTorch is large: this can take minutes) ..."
	@$(PIP_INSTALL) --upgrade pip
	@$(PIP_INSTALL) --editable '.[ml]'
	@touch $@

$(VENV)/developer: $(VENV)/user
	@$(PIP_INSTALL) --group dev
	@touch $@

demo: $(VENV)/user ## from generated tissue to a blinded study in the browser: PORT= QUICK=1 FRESH=1 HOME_DIR= DATA= NETWORK_FILE=
	@$(BIN)/python tools/demo.py --port $(PORT) --home "$(HOME_DIR)" $(if $(QUICK),--quick) $(if $(FRESH),--fresh) \
		$(if $(DATA),--data "$(DATA)") $(if $(NETWORK_FILE),--network-file "$(NETWORK_FILE)")

reproduce: $(VENV)/user ## the paper's whole chain: DATA= EXPERIMENT= OUT= ENGINE=
	@$(if $(DATA),,test -d build/tissue || $(BIN)/plainsight-ml phantom build/tissue)
	@$(BIN)/plainsight-ml reproduce $(EXPERIMENT) --data "$(or $(DATA),build/tissue)" --out "$(OUT)" --engine $(ENGINE)

test: $(VENV)/developer ## all tests, with a real browser and a real Postgres: ARGS=
	@sh tools/prepare_tests.sh
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 2 --dist loadfile $(ARGS)

check: $(VENV)/developer ## style, types, import contracts, templates
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/djlint templates --check --lint

format: $(VENV)/developer ## put code and templates into the common shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	-@$(BIN)/djlint templates --reformat --quiet

migration: $(VENV)/developer ## write a migration from the models: MESSAGE="what changes"
	@mkdir -p build && rm -f build/migration.db
	@PLAINSIGHT_DATABASE_URL=sqlite:///build/migration.db $(BIN)/plainsight db upgrade
	@PLAINSIGHT_DATABASE_URL=sqlite:///build/migration.db $(BIN)/alembic revision --autogenerate -m "$(MESSAGE)"
	@$(BIN)/ruff check --fix --quiet migrations && $(BIN)/ruff format --quiet migrations

constraints: ## renew constraints.txt with the newest versions that fit
	@$(PYTHON) -m venv build/constraints && build/constraints/bin/python -m pip install --quiet --upgrade pip
	@build/constraints/bin/python -m pip install --quiet --editable '.[ml]' --group dev
	@{ echo "# Exact versions for make, CI and Docker: names and versions only. Renew with: make constraints"; \
		build/constraints/bin/python -m pip freeze --all --exclude-editable; } > constraints.txt

texts: $(VENV)/developer ## bring the catalogues of app/locale up to date with the sentences in the sources
	@$(BIN)/python tools/texts.py

screenshots: $(VENV)/developer ## every page and every state in all themes and two sizes, into build/screenshots; the README's two anew
	@mkdir -p build/screenshots
	@PLAINSIGHT_SCREENSHOTS=build/screenshots $(BIN)/python -m pytest -q \
		tests/browser/test_reader_pages.py tests/browser/test_screenshots.py -k 'every_ or picture'
	@cp build/screenshots/reading-room.png build/screenshots/results.png docs/images/
