#!/usr/bin/env bash
# Proves that clippy has nothing to say about the crate with its tests,
# examples and benchmarks, with and without its features, nor about what instructions are counted of, nor
# about the loom models; and that each seeded bug still has its place in the source. No
# arguments.
source "$(dirname "$0")/common.sh"
need_openssl
need python3 python3

run cargo clippy --all-targets --all-features -- -D warnings
# Without test doubles, and without the DHT.
run cargo clippy --lib -- -D warnings
run cargo clippy --all-targets --no-default-features -- -D warnings
# `--profile test` checks the library as its unit tests see it.
run env RUSTFLAGS="--cfg relay_loom" CARGO_TARGET_DIR="$target/loom" \
    cargo clippy --lib --profile test -- -D warnings
run env RUSTFLAGS='--cfg getrandom_backend="custom"' CARGO_TARGET_DIR="$target/instructions" \
    cargo clippy --locked --manifest-path benches/instructions/Cargo.toml -- -D warnings
run python3 ci/mutants.py --check
