# Verbs. Each is one line over a CMake preset or a script; see CMakePresets.json, .ci/ and tests/.
# On a fresh Debian 12 machine: apt-get install -y make git

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Debian's own tools come first, whatever else is in PATH; Kafka and Maven get Debian's JDK.
export PATH := /usr/sbin:/usr/bin:/sbin:/bin:$(PATH)
export JAVA_HOME := $(firstword $(wildcard /usr/lib/jvm/java-17-openjdk-*) /usr/lib/jvm/default-java)
# A clone elsewhere finds in the cache what this one compiled.
export CCACHE_BASEDIR := $(CURDIR)
export CCACHE_NOHASHDIR := 1
unexport CC CXX CFLAGS CXXFLAGS LDFLAGS

.PHONY: help install build demo up down test check bench fuzz format tidy sim chaos mutants clean

help: ## print this
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

install: ## install the Debian packages of packages.txt that are missing (needs root only then)
	@.ci/install packages.txt

build: install ## build the program: build/postlane
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --target postlane

demo: build ## watch a campaign survive a kill -9, and the proof
	@/usr/bin/python3 demo/demo.py

up: build ## start Kafka, the sandbox ESP and postlane, and leave them running
	@/usr/bin/python3 demo/demo.py up

down: ## stop what `make up` started
	@/usr/bin/python3 demo/demo.py down

test: install ## build everything and run every test
	@tests/run.sh

check: install ## format, clang-tidy and the tests under the sanitizers
	@.ci/install packages-check.txt
	@.ci/check

bench: install ## drain a preloaded topic beside the floor program and print both
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --target postlane postlane-sandbox postlane-bench-floor postlane-bench-load postlane-bench-ledger
	@/usr/bin/python3 bench/run.py

fuzz: install ## run every fuzz target for MINUTES=5; TARGETS="core_step ..." for some of them
	@.ci/install packages-check.txt
	@tests/fuzz/run.sh $(or $(MINUTES),5) $(TARGETS)

format: ## lay out every C++ file by .clang-format
	@.ci/install packages-check.txt
	@git ls-files -z '*.h' '*.cc' | xargs -0 clang-format-19 -i

tidy: install ## clang-tidy over src; FILES="src/core/..." for some of it
	@.ci/install packages-check.txt
	@.ci/tidy $(FILES)

sim: install ## the simulator's tests; SEEDS=200000 for a campaign on every core, from SEED=1 on
	@cmake --preset release --log-level=WARNING
ifdef SEEDS
	@cmake --build --preset release --target postlane
	@build/postlane simulate --seed $(or $(SEED),1) --seeds $(SEEDS) --jobs $$(nproc) --keep tests/sim/seeds
else
	@cmake --build --preset release --target sim_test
	@ctest --test-dir build --output-on-failure --no-tests=error --label-regex '^sim$$'
endif

chaos: install ## real kills, pauses and broker deaths; LONG=1 or HOURS=2 for the campaign, SEED=, ONLY="kills brokers"
	@cmake --preset release --log-level=WARNING
	@cmake --build --preset release --target postlane postlane-bench-ledger
	@/usr/bin/python3 tests/chaos/run.py $(if $(LONG),--long) $(if $(HOURS),--hours $(HOURS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY)) $(if $(AGAIN),--again)

mutants: install ## take one mechanism at a time out; its black-box test must fail. ONLY="NoReplay ..."
	@/usr/bin/python3 tests/integration/mutants.py $(foreach name,$(ONLY),-k $(name))

clean: ## remove every build folder and what the demo left
	@rm -rf build build-dev build-asan build-tsan build-clang build-fuzz .run
