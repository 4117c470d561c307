#!/usr/bin/env bash
# Proves that all Rust code is formatted by rustfmt: the crate, the fuzz
# targets, and the benchmarks and examples that are crates of their own. No arguments.
source "$(dirname "$0")/common.sh"

run cargo fmt --check
run cargo fmt --check --manifest-path fuzz/Cargo.toml
run cargo fmt --check --manifest-path benches/peers/Cargo.toml
run cargo fmt --check --manifest-path benches/instructions/Cargo.toml
run cargo fmt --check --manifest-path benches/sharing/Cargo.toml
run cargo fmt --check --manifest-path examples/broker/Cargo.toml
run cargo fmt --check --manifest-path examples/libp2p/Cargo.toml
