#!/usr/bin/env bash
# Proves that the example broker does what its README says: formatted, nothing for
# clippy to say, and its tests pass, with a real Prometheus that scrapes it; then a few
# hundred peers load it for some seconds, and no promise is broken. No arguments.
source "$(dirname "$0")/common.sh"
need prometheus prometheus

broker=(--locked --manifest-path examples/broker/Cargo.toml --target-dir "$target/broker")
run cargo fmt --check --manifest-path examples/broker/Cargo.toml
run cargo clippy "${broker[@]}" --all-targets -- -D warnings
run cargo test "${broker[@]}" --lib --bins --test broker -- --include-ignored
run timeout 120 cargo run "${broker[@]}" --bin load -- --peers 300 --seconds 5
