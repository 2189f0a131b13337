# Two commands matter: `make run` to try the gateway, `make test` to trust it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

SWIFT ?= swift
# Debian's own, whatever stands first in PATH: the clients are its packages.
PYTHON := /usr/bin/python3
GATEWAY := .build/release/gateway

# Debug and release build into separate folders of .build, so testing one does not rebuild the other.
RELEASE := -c release --static-swift-stdlib --product gateway

# Arguments for pytest: `make peers PEERS="-k hls"`.
PEERS ?=

RUN_PEERS = PYTHONDONTWRITEBYTECODE=1 PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(PYTHON) -s -m pytest Tests/Peers $(PEERS)

# Seconds for each fuzz target; `make fuzz FUZZ_SECONDS=3600` for a night.
FUZZ_SECONDS ?= 300

# Length of `make soak`.
SOAK_MINUTES ?= 30

# Everything Swift that is ours; the lint and the formatter walk it.
SWIFT_FOLDERS := Package.swift $(wildcard Sources Tests Benchmarks Examples)

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: setup-run build ## Install what is missing, build, start a gateway to play with
	@exec $(GATEWAY) serve --dev

.PHONY: build
build: ## Build the release binary
	$(SWIFT) build $(RELEASE)

# ---------------------------------------------------------------------------------------------------------------------

# Suites that stand on a script of their own; each takes how long to run.
SHORT := fuzz-short conformance-short soak-short
LONG := fuzz conformance soak-minute fleet

# The real peers come last: their last line counts them.
.PHONY: test
test: setup-test lint unit build $(SHORT) peers ## Everything a change must pass

.PHONY: test-full
test-full: setup-test lint unit sanitize build $(LONG) tls-scan peers ## The same in its long forms, with sanitizers

.PHONY: lint
lint: ## Check the format of every Swift file
	$(SWIFT) format lint --strict --parallel --recursive $(SWIFT_FOLDERS)

.PHONY: format
format: ## Format every Swift file in place
	$(SWIFT) format --in-place --parallel --recursive $(SWIFT_FOLDERS)

.PHONY: unit
unit: ## Build with warnings as errors and run the Swift tests
	$(SWIFT) build --build-tests
	$(SWIFT) test --skip-build

.PHONY: sanitize
sanitize: sanitize-address sanitize-thread ## Run all tests under the address and the thread sanitizer

# The Swift tests, then the program itself: under load, before the conformance suites, with its peers. Its first race
# ends it. A smaller quarantine of freed memory leaves room to see memory grow.
LEAKS := suppressions=$(CURDIR)/Tests/Soak/leaks.txt:print_suppressions=0

.PHONY: sanitize-address sanitize-thread
sanitize-address sanitize-thread: sanitize-%:
	LSAN_OPTIONS=$(LEAKS) $(SWIFT) test --sanitize=$* --scratch-path .build/$*
	$(SWIFT) build --sanitize=$* --scratch-path .build/$* --product gateway
	export GATEWAY_BINARY=$(CURDIR)/.build/$*/debug/gateway TSAN_OPTIONS=halt_on_error=1 \
		ASAN_OPTIONS=quarantine_size_mb=16 LSAN_OPTIONS=$(LEAKS); \
	Tests/Soak/soak --seconds 20; Tests/Conformance/run short; $(RUN_PEERS)

.PHONY: docs
docs: build ## Write docs/CONFIGURATION.md anew, and the code that documents show
	$(GATEWAY) config --reference > docs/CONFIGURATION.md
	scripts/quote-code README.md docs/PLUGINS.md

.PHONY: peers
peers: ## Run real clients and servers against the release binary
	GATEWAY_BINARY=$${GATEWAY_BINARY:-$(CURDIR)/$(GATEWAY)} $(RUN_PEERS)

.PHONY: tls-scan
tls-scan: ## Run every check of testssl.sh against the release binary
	GATEWAY_BINARY=$${GATEWAY_BINARY:-$(CURDIR)/$(GATEWAY)} PYTHONDONTWRITEBYTECODE=1 \
		PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(PYTHON) -s -m pytest Tests/Peers/scan_tls.py

.PHONY: fuzz-short
fuzz-short:
	Tests/Fuzz/run 10

.PHONY: fuzz
fuzz: ## Fuzz the parsers for FUZZ_SECONDS each
	Tests/Fuzz/run $(FUZZ_SECONDS)

# Ten minutes each, all of them: about an hour and a half on two cores.
.PHONY: fuzz-long
fuzz-long: ## Fuzz the parsers for ten minutes each
	Tests/Fuzz/run 600

# Short, and still every kind of client comes and goes a hundred times; a slope of memory needs the minute.
.PHONY: soak-short soak-minute
soak-short:
	Tests/Soak/soak --seconds 15
soak-minute:
	Tests/Soak/soak --seconds 60

.PHONY: soak
soak: setup-test build ## Clients come and go for SOAK_MINUTES: does anything stay behind?
	Tests/Soak/soak --seconds $$(($(SOAK_MINUTES) * 60))

.PHONY: slow
slow: setup-test build ## Hold 2,000 slow connections of each kind while honest clients work
	Tests/Soak/slow

.PHONY: fleet
fleet: ## A thousand agents lose their gateway and come back to the next; the tests of `unit` have 200
	FLEET_AGENTS=1000 $(SWIFT) test --filter FleetTests

.PHONY: conformance-short
conformance-short:
	Tests/Conformance/run short

.PHONY: conformance
conformance:
	Tests/Conformance/run full

.PHONY: bench
bench: setup-test build ## Compare with nginx, haproxy and node ws; about a quarter of an hour
	Benchmarks/run

.PHONY: bench-tunnel
bench-tunnel: setup-test build ## Compare the tunnel with OpenSSH, nginx and websockify; about five minutes
	Benchmarks/tunnel

.PHONY: bench-limits
bench-limits: ## Measure what one check of a limit costs
	$(SWIFT) build -c release --static-swift-stdlib --product benchlimits
	.build/release/benchlimits

# ---------------------------------------------------------------------------------------------------------------------

.PHONY: setup-run setup-test
setup-run:
	@scripts/setup run
setup-test:
	@scripts/setup test

.PHONY: clean
clean: ## Remove everything that was built
	rm -rf .build
