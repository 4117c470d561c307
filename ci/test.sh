#!/usr/bin/env bash
# Proves what the tests say: unit, integration and documentation tests with
# debug assertions, then the multi-threaded ones at full speed, then those of
# the registry without the DHT.
#
#   ci/test.sh [CASES]    proptest runs so many cases of each property
source "$(dirname "$0")/common.sh"

if [[ $# -gt 0 ]]; then
    export PROPTEST_CASES=$1
fi
run cargo test --all-features
run cargo test --all-features --release --test threads
# Without the DHT: what the registry does is the same.
run cargo test --no-default-features --lib --test semantics --test values
