#!/usr/bin/env bash
# Measures how fast the crate finds relays, also while an engine hangs, and its
# table against papaya's.
# Figures of different runs or machines do not compare; ratios of one run do.
#
#   ci/bench.sh [RELAYS...]    sizes to measure instead of each one's own
source "$(dirname "$0")/common.sh"

run cargo bench --bench find -- "$@"
run cargo bench --bench hanging_dht
run cargo bench --manifest-path benches/peers/Cargo.toml --target-dir "$target/peers" \
    --bench table -- "$@"
