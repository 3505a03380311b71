# make help lists the targets. Go alone is enough for run, build and check;
# test and lint fetch what they need besides (see .ci/setup).

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

STATICCHECK := .tools/staticcheck-0.8.2
DATA ?= ./data

# The packages whose tests drive whole programs; they run one after another,
# without the race detector, because they measure and kill. The conformance
# suite is one client that asks some 70 providers the same: it races with nobody.
E2E := ./internal/conformance ./internal/rehearsal ./internal/e2e

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

# Without C, so that the program needs none of a machine's libraries, and the store
# takes its memory from Go: a tenth less CPU for a look-up, some 50 MB more.
.PHONY: run
run: ## serve a demo organization from ./data (DATA=DIR for another folder)
	@echo 'Compiling Gatehouse; the first time this takes about a minute.'
	@CGO_ENABLED=0 go build -o bin/gatehouse ./cmd/gatehouse
	@exec bin/gatehouse serve --data $(DATA) --demo

.PHONY: build
build: functions ## build bin/gatehouse, and every function under bin/functions
	CGO_ENABLED=0 go build -trimpath -o bin/gatehouse ./cmd/gatehouse

# Each of these is called by its logical id in template.yaml, which in lower case
# is its folder.
FUNCTIONS := Scim Portal Feed Welcome Mailevents Sweep Discarded

.PHONY: functions
functions:
	@for f in $(FUNCTIONS); do $(MAKE) --no-print-directory build-$$f ARTIFACTS_DIR="$(CURDIR)/bin/functions/$$(tr '[:upper:]' '[:lower:]' <<<"$$f")"; done

# sam build calls these, one for each function, with a folder of its own. They
# are cross-compiled as Lambda runs them, without a part that only old runtimes
# use.
.PHONY: $(FUNCTIONS:%=build-%)
$(FUNCTIONS:%=build-%): build-%:
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 go build -trimpath -tags lambda.norpc -ldflags '-s -w' \
		-o "$(ARTIFACTS_DIR)/bootstrap" "./functions/$(shell tr '[:upper:]' '[:lower:]' <<<'$*')"

.PHONY: check
# lint has vetted all of it.
check: lint ## lint and the quick tests: two minutes once compiled
	go test -short -vet=off -p 3 -timeout 5m ./...

.PHONY: test
test: tools lint ## everything: installs what the tests need, races, crashes, the browser, AWS rehearsed; fifteen minutes at most
	@result=0; packages=$$(go list ./... | grep -vE '/internal/(conformance|e2e|rehearsal)$$'); \
	echo 'go test -race (all but $(E2E))'; \
	go test -race -p 3 -timeout 15m $$packages || result=$$?; \
	echo 'go test $(E2E)'; \
	go test -p 1 -timeout 15m $(E2E) || result=$$?; \
	exit $$result

.PHONY: bench
bench: ## rates, latencies, CPU, memory and capacity units
	go test -run '^$$' -bench . -p 1 -timeout 60m ./...

# PEERS_SHORT=1 takes some five minutes, PEERS_MILLION=1 some eight more;
# PEERS_FLAGS are those of go run ./internal/peers -h.
.PHONY: bench-peers
bench-peers: ## Gatehouse beside other SCIM servers, into docs/performance.md; twenty minutes, on a machine that does nothing else
	@.ci/peers .tools/peers
	@go build -o bin/peers ./internal/peers
	@bin/peers $(if $(PEERS_SHORT),-short) $(if $(PEERS_MILLION),-million) $(PEERS_FLAGS)

.PHONY: lint
lint: $(STATICCHECK) ## gofmt, vet, staticcheck
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	go vet ./...
	$(STATICCHECK) ./...

.PHONY: tools
tools: $(STATICCHECK) ## install what the tests need beside Go
	@.ci/setup

# Named by its version, so that another version is another file.
$(STATICCHECK):
	@echo 'Building staticcheck; once, about half a minute.'
	@GOBIN='$(CURDIR)/.tools' go install honnef.co/go/tools/cmd/staticcheck@v0.8.2
	@mv .tools/staticcheck $@
