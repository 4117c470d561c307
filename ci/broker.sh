#!/usr/bin/env bash
# Proves that the example broker does what its README says: formatted, nothing for
# clippy to say, and its tests pass, with a real Prometheus that scrapes it and a real
# browser that shows its page; then a few hundred peers load it for some seconds, and no
# promise is broken. No arguments.
source "$(dirname "$0")/common.sh"
need prometheus prometheus
need chromedriver chromium-driver

broker=(--locked --manifest-path examples/broker/Cargo.toml --target-dir "$target/broker")
run cargo fmt --check --manifest-path examples/broker/Cargo.toml
run cargo clippy "${broker[@]}" --all-targets -- -D warnings
run cargo test "${broker[@]}" --bins --test broker -- --include-ignored
# One at a time: each has a browser of its own.
run cargo test "${broker[@]}" --test browser -- --ignored --test-threads=1
# The tests have built it. To build it by itself would build its dependencies again.
run timeout 120 "$target/broker/debug/load" --peers 300 --seconds 5
