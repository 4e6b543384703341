# hotpath: every target is a line or two that a person can run by hand.
TOOL      = go tool -modfile=internal/tools/go.mod
LINT      = go tool -modfile=$(CURDIR)/internal/tools/lint/go.mod golangci-lint
COLLECTOR = _build/otelcol-hotpath
HERE      = $(TESTFLAGS) -skip '^(TestUserEvents|TestSetting|TestLastSetting|TestSoak)' # those are for virtual machines, or take long
SERIAL    = internal/source/bpf/binary # one goroutine, and much slower under -race
export CMD KERNEL
MODULES   = . client/go cmd/hotpath bench internal/tools/kubernetes

.PHONY: help
help: ## this list
	@awk -F ': .*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: build ## build all, start the Collector and two sample applications, show their metrics (needs no backend)
	@mkdir -p _build
	gcc -std=c11 -O2 -Wall -Wextra -pthread examples/kv-c/kv.c -o _build/kv-c
	go build -o _build/ ./examples/kv-go ./examples/run
	@_build/run $(if $(FOR),-for $(FOR))

.PHONY: build
build: ## build the Collector with ocb, _build/otelcol-hotpath, and the tool, _build/hotpath (the first time takes two minutes)
	$(TOOL) builder --config builder-config.yaml
	cd cmd/hotpath && CGO_ENABLED=0 go build -trimpath -o ../../_build/hotpath .

.PHONY: test
test: build ## run all tests on this kernel, with what they need installed if it can be
	@internal/tools/packages.sh
	go test $(HERE) -race $$(go list ./internal/... ./receiver/... | grep -v -e /internal/e2e -e $(SERIAL))
	go test $(HERE) ./$(SERIAL)
	cd client/go && go test $(HERE) -race ./... && go test $(HERE) ./...
	cd bench && go vet ./...
	cd internal/tools/kubernetes && go test ./...
	cd cmd/hotpath && HOTPATH_OTELCOL=$(CURDIR)/$(COLLECTOR) go test $(HERE) -timeout 20m ./...
	HOTPATH_OTELCOL=$(CURDIR)/$(COLLECTOR) go test $(HERE) -timeout 20m ./client/c/... ./examples/... ./internal/e2e/...
	@internal/tools/user_events.sh $(TESTFLAGS)
	@internal/tools/kernels.sh 6.1 6.12 -- $(TESTFLAGS)

.PHONY: test-user-events
test-user-events: build ## run the tests that need user_events, in a virtual machine where this kernel lacks it
	@internal/tools/user_events.sh $(TESTFLAGS)

.PHONY: vm
vm: ## run CMD='...' as root in a virtual machine: on a kernel with user_events (built once, 10 minutes) or on Debian's KERNEL=6.1 or 6.12
	@mkdir -p _build && go build -o _build/vm ./internal/kerneltest/vm
	@_build/vm "$$CMD"

.PHONY: bench
bench: ## measure every budget beside its alternative, on this machine
	@internal/tools/packages.sh bench
	cd bench && go run .
	@internal/tools/user_events_bench.sh

.PHONY: fuzz
fuzz: ## fuzz each parser for FUZZTIME (default 1m)
	@internal/tools/fuzz.sh $(or $(FUZZTIME),1m)

.PHONY: lint
lint: ## check formatting, common mistakes, and that generated files are what the generators make
	@for module in $(MODULES); do echo "lint $$module"; (cd $$module && $(LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done
	internal/tools/generated.sh

.PHONY: generate
generate: ## make the generated files again
	go generate ./receiver/... ./internal/source/bpf/...
