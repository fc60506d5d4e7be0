# The two commands of the README, and what CI adds. Every target is non-interactive.
# Network tests and the demo need root (namespaces, TUN); without it they use a user namespace where the
# kernel permits one, and otherwise say what to run.

CARGO ?= cargo
DEMO_ARGS ?=
E2E_ARGS ?=
BENCH_ARGS ?= --write docs/performance.md
SOAK_ARGS ?=

.PHONY: all setup build kubernetes hubble demo test bench lint deny docs clean chart image conformance

all: build

## setup: install what is missing on a fresh Debian or Ubuntu machine
setup:
	@./.ci/setup

## build: debug build of everything
build:
	$(CARGO) build --workspace --locked

## kubernetes: the real kube-apiserver for the tests, from its Go module (some minutes and 3 GB, once). Without Go the
## tests that need it skip loudly; in CI that is a failure
kubernetes:
	@./.ci/build-kubernetes || [ "$$CI" != true ]

## hubble: the real hubble command line for the tests, from its Go module (two minutes, once); without Go as above
hubble:
	@./.ci/build-hubble || [ "$$CI" != true ]

## demo: three pods, an attacker, and six steps; no cluster needed
demo: setup
	$(CARGO) build --workspace --locked
	./target/debug/sidewall demo $(DEMO_ARGS)

## test: every test, including those with real packets, and those against a real kube-apiserver and a
## real hubble where Go is installed
test: setup kubernetes hubble
	$(CARGO) build --workspace --locked
	$(CARGO) test --workspace --locked --no-fail-fast
	./target/debug/sidewall demo --tour --color never

## conformance: every case of Kubernetes' own end-to-end suite with real pods, over the lab's API server and over a real
## kube-apiserver (`make test` takes every eighth there). The cases lie beside a checkout, in ../shared/conformance
conformance: setup kubernetes
	$(CARGO) build --workspace --locked
	./target/debug/sidewall conformance --lab ../shared/conformance/upstream_e2e.json.gz
	SIDEWALL_CONFORMANCE=all $(CARGO) test --workspace --locked --test apiserver -- --nocapture conformance

## e2e: in a real cluster of one node, made on this machine: root, Go, some minutes (E2E_ARGS=--all: every truth table)
.PHONY: e2e
e2e: setup
	./.ci/e2e $(E2E_ARGS)

.PHONY: soak microbench scale kube-router setup-bench

## bench: what a sidecar costs beside what else could guard a pod, 20 minutes, written to docs/performance.md; the sidecar
##        is the image's (BENCH_ARGS=--quick: three minutes, only printed; a run that was cut short goes on)
bench: setup-bench kube-router
	$(CARGO) build --release --locked --workspace
	built=$$(./.ci/build-static sidewall-sidecar) && \
	SIDEWALL_SIDECAR=$(CURDIR)/$$built/sidewall-sidecar ./target/release/side-by-side $(BENCH_ARGS)

## soak: connections opened and closed at full speed for five minutes; memory flat, no flow left (SOAK_ARGS=minutes)
soak: setup-bench
	$(CARGO) build --release --locked --workspace
	./target/release/side-by-side --write docs/performance.md --soak $(SOAK_ARGS)

## microbench: what parsing, verdicts and compilation cost, written to docs/performance.md
microbench:
	$(CARGO) bench --locked --workspace --bench engine --bench packet --bench policy -- --warm-up-time 0.5 --measurement-time 1.5
	$(CARGO) build --release --locked --workspace
	./target/release/side-by-side --write docs/performance.md --micro

## scale: the allow lists of 1 000, 10 000 and 100 000 pods kept up to date, simulated, written to docs/scale.md
scale:
	$(CARGO) build --release --locked --workspace --bin scale
	./target/release/scale --write docs/scale.md $(SCALE_ARGS)

setup-bench:
	@./.ci/setup bench

## kube-router: build its firewall, from its Go module as pinned, for the benchmark (needs Go; left out without)
kube-router: target/tools/kube-router
target/tools/kube-router: integration/go/kube-router/go.mod integration/go/kube-router/go.sum
	@./.ci/build-kube-router $@

## lint: format, clippy, docs
lint:
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

## deny: licences, sources and banned crates of the dependency tree
deny:
	$(CARGO) deny --offline --locked check bans licenses sources

## chart: lint, render and validate the Helm chart and injected pods against Kubernetes' schemas
chart:
	./.ci/check-chart

## page: the live page's files, from cli/web into cli/web/dist
page: cli/web/node_modules
	cd cli/web && npm run --silent check && npm run --silent build

## page-test: the live page in a real Chromium
page-test: cli/web/node_modules
	cd cli/web && npm run --silent test

## page-bench: how smooth the live page stays under many flows
page-bench: cli/web/node_modules
	$(CARGO) build --release --locked -p sidewall-cli
	cd cli/web && SIDEWALL=../../target/release/sidewall node measure.mjs

cli/web/node_modules: cli/web/package-lock.json
	cd cli/web && npm ci --silent --ignore-scripts
	@touch $@

## image: two static programs and an image of them, with buildah, docker or neither (IMAGE=name:tag, PROFILE=dist)
image:
	./.ci/build-image $(IMAGE)

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)
