#!/usr/bin/env bash
# Looks for interleavings of real threads that are not linearizable where others come
# between the steps of an operation: before one in a hundred of its operations on
# atomics a thread tarries. It finds what the models were not asked for; one seeded
# bug in this much was found in one run of three, so the more the better.
#
#   ci/histories.sh              30,000 histories of each kind: a minute
#   ci/histories.sh HISTORIES    so many, and all the other tests with threads
source "$(dirname "$0")/common.sh"

export RUSTFLAGS="--cfg relay_delays" CARGO_TARGET_DIR=$target/delays
RELAY_HISTORIES=${1:-30000} run cargo test --test linearizability a_relay_is
[[ $# -eq 0 ]] || run cargo test --test threads
