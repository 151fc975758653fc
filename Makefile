# Two commands are all a newcomer needs: `make run` and `make test`. Both work on a machine with Rust and nothing else:
# servers that are missing are unpacked into .data/servers by the launcher, the browser is installed by .ci/browser.

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))

.PHONY: run test herd bench-page test-kafka model mutants failpoints fuzz lint fmt clean-data

# The whole product with demo data; prints the page's address, stops with Ctrl-C. Data survive in .data.
run:
	cargo build --release --locked --workspace --bins
	exec target/release/loadtest up $(UP)

# Every test, on real servers. Cargo builds the binaries of all packages first: tests launch them as processes. The page's
# and the clients' own tests run in Node and Python.
test:
	. .ci/browser && cargo test --locked --workspace
	.ci/client-tests

# The run for each change: 2,000 viewers, 5,000 contended attempts, 30 faults, three minutes on two cores at rest. More of
# anything: make herd HERD="--viewers 15000 --seed 7". See docs/LOADTEST.md.
herd:
	cargo build --release --locked --workspace --bins
	$(TARGET)/release/loadtest run thundering-herd --faults 30 $(HERD)

# How fast the page is, in headless Chromium on a whole stack of release builds: two minutes. See docs/BENCHMARKS.md.
bench-page:
	cargo build --release --locked --workspace --bins
	. .ci/browser && SEATWIRE_BIN_DIR=$(TARGET)/release cargo test --locked --package seatwire-loadtest --test it -- \
		--ignored --nocapture page_figures

# The event bus on Kafka, against a broker (tansu, unpacked from a Python wheel) and librdkafka's mock cluster. Apart
# from `make test` because it compiles librdkafka first; needs gcc and make.
test-kafka:
	cargo build --locked --workspace --bins
	cargo test --locked --package seatwire-core --features kafka --test it kafka

# Every state of the models at the large bound; `make test` runs the small one. See docs/MODEL.md.
model:
	cargo run --release --locked --package seatwire-model -- all --bound large

# Takes out each guard in turn and expects the tests to fail: a minute or so for each on two cores. Some only:
# make mutants MUTANTS="--only hold-owner --only claim". See docs/MUTANTS.md.
mutants:
	cargo run --locked --package seatwire-mutants -- $(MUTANTS)

# Kills the core, lets a step fail and repeats it, once at each named place between two effects: about 8 minutes on two
# cores. The core with failpoints gets a folder of its own, beside the one that everything else uses. Some only:
# SEATWIRE_TEST_FAILPOINTS=claim.,settle. make failpoints. See docs/FAULTS.md.
failpoints:
	cargo build --locked --workspace --bins --features seatwire-core/failpoints
	mkdir -p $(TARGET)/failpoints
	cd $(TARGET)/debug && cp seatwire-core seatwire-gateway loadtest $(TARGET)/failpoints/
	SEATWIRE_BIN_DIR=$(TARGET)/failpoints cargo test --locked --workspace --test it -- \
		--ignored --nocapture a_fault_at_any_failpoint

# Random bytes for every decoder of the protocol, a million each: make fuzz RUNS=10000000 FUZZ="feed seat_frame".
fuzz:
	RUNS=$(or $(RUNS),1000000) protocol/fuzz/run $(FUZZ)

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cargo clippy --locked --package seatwire-core --features failpoints -- -D warnings
	.ci/lint-fixtures
	cargo package --locked --quiet --allow-dirty --package seatwire-protocol
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

fmt:
	cargo fmt --all

# Forgets every booking of `make run`.
clean-data:
	rm -rf .data/postgres .data/redis .data/provider .data/mail
