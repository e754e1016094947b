# The commands of daily work; README.md and CONTRIBUTING.md say when to use which.

SHELL := /bin/bash

# `make run` builds debug, the quicker build: three to four minutes on two processors, the first time.
# `make run CONFIGURATION=release` runs the optimised program.
CONFIGURATION ?= debug
# Passed to `opsd run`: `make run ARGS="-c desk.yaml"`.
ARGS ?=
# Kills and restarts of `make crash`; `make soak` has ten times as many.
OPSD_CRASH_ROUNDS ?= 20
# Which measurements `make bench` takes: `make bench ONLY=core.accept-batch`. Empty: all.
ONLY ?=

# Of every build, the tests' too, so that nothing is built twice: an import that Package.swift does not
# declare for its target is an error.
SWIFT_FLAGS := --explicit-target-dependency-import-check error

SWIFT_FILES := Sources Tests Benchmarks/Sources Package.swift Benchmarks/Package.swift

.DEFAULT_GOAL := help
.PHONY: help run test build bench soak crash format lint rules clean dependencies

help:  ## what there is
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run:  ## build, and run the embedded default (or ./opsd.yaml) in the foreground
	@scripts/dependencies run
	swift build $(SWIFT_FLAGS) -c $(CONFIGURATION) --product opsd
	@exec .build/$(CONFIGURATION)/opsd run $(ARGS)

test:  ## build and run every test
	@scripts/dependencies run test
	swift build $(SWIFT_FLAGS) --build-tests
	@scripts/tests

build:  ## the optimised program: .build/release/opsd
	@scripts/dependencies run
	swift build $(SWIFT_FLAGS) -c release --product opsd

bench: build  ## measure; ONLY=ID,… limits it
	@scripts/dependencies run bench
	cd Benchmarks && ONLY='$(ONLY)' swift run $(SWIFT_FLAGS) -c release bench

soak:  ## the long runs and the large counts
	@scripts/dependencies run test
	OPSD_CRASH_ROUNDS=$$((10 * $(OPSD_CRASH_ROUNDS))) OPSD_STORE_CRASH_ROUNDS=$$((10 * $(OPSD_CRASH_ROUNDS))) \
		swift test $(SWIFT_FLAGS) --filter CrashTests
	OPSD_REPAIR_ROWS=10000 OPSD_REPAIR_KILLS=20 swift test $(SWIFT_FLAGS) --filter RepairCrashTests
	OPSD_RELOADS=1000 swift test $(SWIFT_FLAGS) --filter ReloadTests
	OPSD_VERIFY_CHANGES_PER_SECOND=5000 OPSD_VERIFY_SECONDS=600 OPSD_VERIFY_KILL_SECONDS=120 \
		swift test $(SWIFT_FLAGS) --filter VerifyLoadTests
	OPSD_SCRAPE_SECONDS=300 swift test $(SWIFT_FLAGS) --filter PrometheusTests

crash:  ## kill and restart, OPSD_CRASH_ROUNDS times
	@scripts/dependencies run test
	OPSD_CRASH_ROUNDS='$(OPSD_CRASH_ROUNDS)' OPSD_STORE_CRASH_ROUNDS='$(OPSD_CRASH_ROUNDS)' \
		swift test $(SWIFT_FLAGS) --filter CrashTests

format:  ## format every Swift file in place
	swift format format --in-place --recursive $(SWIFT_FILES)

lint:  ## fail where the format or its rules are not kept
	swift format lint --strict --recursive $(SWIFT_FILES)

rules:  ## check the scrape file and the alert rules, and run their tests
	@scripts/rules

clean:  ## remove what was built; ./data stays
	rm -rf .build Benchmarks/.build

dependencies:  ## install what building and testing need, if it is missing
	@scripts/dependencies run test
