# The commands of this project; CONTRIBUTING.md explains them.
#
#   make test        host, namespaces and Debian's user-mode kernel
#   make test-full   also our own kernel, simulated time, and qemu
#   make lint cross fuzz bench
#
# LVSKIT_NO_SKIP=1 makes a failure of whatever is skipped.

FUZZTIME  ?= 5s
BENCHTIME ?= 1s
RESULTS   ?= dist/tally
export FUZZTIME BENCHTIME RESULTS

TAGS  := netns,peers,kernel,simtime,rig,rigguest
TOOL  := go tool -modfile=internal/tools/go.mod
DEPS  := internal/tools/deps.sh
TIER  := internal/tools/tier.sh
CHECKS := inherit,ST1000,ST1020,ST1021,ST1022
TALLY := bin/tally summary -dir "$(RESULTS)"

.NOTPARALLEL:
.PHONY: help tools results test test-full test-more kernel vet lint cross fuzz bench clean

help:
	@sed -n '/^$$/q; s/^# \{0,1\}//p' Makefile

# The wrapper is also the first process of a guest, so it is linked statically.
tools:
	@CGO_ENABLED=0 go build -o bin/ ./internal/rig ./internal/rig/tally

results: tools
	@rm -rf "$(RESULTS)"

test: results vet
	-@$(DEPS) host netns peers debian
	@$(TIER) host schedules netns
	@$(TIER) peers -- debian -- rig-debian
	@$(TALLY)

test-full: results vet
	-@$(DEPS) host netns peers debian own qemu
	-@$(MAKE) --no-print-directory kernel
	@$(TIER) host schedules netns
	@$(TIER) peers -- debian -- rig-debian
	@$(TIER) own rig-own -- simtime rig-qemu -- qemu
	@$(TALLY)

# What test-full adds to test.
test-more: results
	-@$(DEPS) own qemu
	-@$(MAKE) --no-print-directory kernel
	@$(TIER) own rig-own -- simtime rig-qemu -- qemu
	@$(TALLY)

# The kernel "own": taken from LVSKIT_KERNEL_SEED, or built once.
kernel: tools
	@if bin/rig which own >/dev/null 2>&1; then :; \
	elif [ -n "$$LVSKIT_KERNEL_SEED" ]; then bin/rig seed-kernel "$$LVSKIT_KERNEL_SEED"; \
	else $(DEPS) build && bin/rig build-kernel; fi

vet:
	go vet ./...
	go vet -tags $(TAGS) ./...
	go -C internal/bench vet -tags kernel,peers ./...

lint: vet
	@echo gofumpt; files=$$($(TOOL) gofumpt -l .) && if [ -n "$$files" ]; then \
		echo "not as gofumpt writes it (cure: $(TOOL) gofumpt -w FILE):"; echo "$$files"; exit 1; fi
	$(TOOL) staticcheck -checks $(CHECKS) -tags $(TAGS) ./...
	cd internal/bench && go tool -modfile=../tools/go.mod staticcheck -checks $(CHECKS) -tags kernel,peers ./...
	go mod tidy -diff
	go -C internal/bench mod tidy -diff

# Every package builds for the systems we promise; vet compiles its tests, too.
cross:
	@set -e; for target in linux/arm64 darwin/arm64 windows/amd64; do \
		echo "cross $$target"; \
		export GOOS=$${target%/*} GOARCH=$${target#*/} CGO_ENABLED=0; \
		go build ./...; \
		go vet ./...; \
	done

fuzz: results
	@$(TIER) fuzz
	@$(TALLY)

bench: results
	-@$(DEPS) own dataplane
	@$(TIER) bench
	@$(TALLY)

clean:
	rm -rf bin dist
