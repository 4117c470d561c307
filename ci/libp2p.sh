#!/usr/bin/env bash
# Proves that the example of libp2p does what its README says: formatted, nothing for
# clippy to say, and its tests pass, on networks of nodes on 127.0.0.1. No arguments.
source "$(dirname "$0")/common.sh"

libp2p=(--locked --manifest-path examples/libp2p/Cargo.toml --target-dir "$target/libp2p")
run cargo fmt --check --manifest-path examples/libp2p/Cargo.toml
run cargo clippy "${libp2p[@]}" --all-targets -- -D warnings
run cargo test "${libp2p[@]}"
