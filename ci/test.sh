#!/usr/bin/env bash
# Proves what the tests say: unit, integration and documentation tests, and those of
# the examples, with debug assertions, then the multi-threaded ones at full speed, then those of
# the registry without the DHT.
#
#   ci/test.sh [CASES]    proptest runs so many cases of each property instead of
#                         256, as many as in a plain `cargo test`
source "$(dirname "$0")/common.sh"
need_openssl

export PROPTEST_CASES=${1:-256}
run cargo test --all-features
run cargo test --all-features --release --test threads
# Without the DHT: what the registry does is the same, so few cases will do.
PROPTEST_CASES=32 run cargo test --no-default-features --lib --test semantics
