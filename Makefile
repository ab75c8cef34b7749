# Two commands: `make up` and `make test`. Everything here is a thin caller of scripts/ and basec.
.PHONY: help up down test quick lint unit policy golden nightly bench screenshots clean
.DEFAULT_GOAL := help
basec := bin/basec

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 16

up: ## Bring the local stack up: https://demo.localhost (LOCAL_HTTPS_PORT=8443 LOCAL_HTTP_PORT=8080 for other ports)
	@scripts/bootstrap
	@$(basec) init --env local
	@$(basec) up --env local

down: ## Remove the whole local stack; caches stay
	@scripts/bootstrap
	@$(basec) down --env local

test: ## Run everything that CI runs
	@scripts/test

quick: ## Run the static checks and the tests of what changed against main, in 15 seconds
	@scripts/quick

lint: ## Run the static checks
	@scripts/bootstrap dev
	@scripts/check

unit: ## Run the static checks and the tests that need neither engine nor Docker
	@scripts/test unit

policy: ## Check the three stacks against the rules, with the engine and dry plugins; needs no secret
	@scripts/policy

golden: ## Rewrite the files of what each stack registers (tests/program/golden/), for the reviewer of a change
	@scripts/bootstrap dev
	@.venv/bin/python -m tests.program.golden

nightly: ## Run what takes too long for `make test`, if its result is not current (PARTS="reboots" for some parts)
	@scripts/bootstrap dev
	@.venv/bin/python -m tests.nightly $(PARTS)

bench: ## Measure what docs/benchmarks.md promises, on a separate stack (GROUPS="warm noop" for some groups)
	@scripts/bootstrap
	@.venv/bin/python -m bench $(GROUPS)

screenshots: ## Redraw the pictures of the README, from the running local stack
	@scripts/bootstrap
	@.venv/bin/python scripts/screenshot.py docs/images/status.svg bin/basec status --env local

clean: ## Remove the caches too: CLI, images, virtual environment
	@scripts/clean
