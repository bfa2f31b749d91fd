# Each target installs what it needs first (scripts/setup), once; the code itself needs no build.
setup := scripts/setup/main.sh

.DEFAULT_GOAL := help
.PHONY: help up down test e2e campaign bench load lint audit format generate clean

ifdef SOURCE
up: export MILLRACE_SOURCE := $(SOURCE)
endif

ifeq ($(origin HOST),command line)
up: export MILLRACE_HOST := $(HOST)
endif

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

up: ## a network of three regions on this machine (SOURCE=clip.mp4 publishes that file, HOST=192.0.2.7 serves other machines too)
	@exec $(setup) node worker ffmpeg -- node standalone/src/main.ts up

down: ## stop what `make up` runs
	@exec $(setup) node -- node standalone/src/main.ts down

test: ## types, lint, layers, spelling, format and all tests beside the code (ONLY="service control/src" for those alone, FUZZ_SEED=2 for other random inputs)
	@FUZZ_SEED=$(or $(FUZZ_SEED),1) exec $(setup) node worker ffmpeg redis -- node scripts/test/main.ts $(ONLY)

e2e: ## tests on a real Kubernetes API with real browsers (ONLY=name for files whose path contains it)
	@exec $(setup) node worker ffmpeg chromium firefox gstreamer kubernetes -- node scripts/test/e2e.ts $(ONLY)

campaign: ## the long runs of what make test and make e2e do briefly: 10,000 simulations of the operator, property and fuzz tests with five seeds
	@SIMULATION_RUNS=10000 $(MAKE) --no-print-directory e2e ONLY=operator-simulation
	@for seed in 2 3 4 5 6; do $(MAKE) --no-print-directory test ONLY="api service kube control media-node sdk link-emulator standalone" FUZZ_SEED=$$seed || exit 1; done

bench: ## measure: first frame, gap after a relay's death, packets per CPU-second
	@exec $(setup) node worker ffmpeg chromium -- node bench/src/main.ts

load: ## ten minutes with as many viewers as fit: memory and CPU of each process, whether anything grows (MINUTES=60)
	@exec $(setup) node worker ffmpeg chromium -- node bench/src/main.ts --only load --load-minutes $(or $(MINUTES),10) --json bench/results/load.json

lint: ## types, lint, layers of the packages, spelling and format only
	@exec $(setup) node -- node scripts/test/main.ts --checks

audit: ## licences, pins and install scripts of all packages; advisories where the registry has them
	@exec $(setup) node -- node scripts/audit/main.ts

format: ## lay out all files
	@exec $(setup) node -- npm run --silent format

generate: ## types and reference pages from crds/*.yaml, api/src/operations and the metrics of running servers
	@exec $(setup) node -- npm run --silent generate
	@exec $(setup) node -- npm run --silent generate:metrics

clean: ## stop the network, remove its state and what was installed here (what is cached outside stays)
	@test ! -d .millrace || $(MAKE) --no-print-directory down
	@rm -rf node_modules .millrace
