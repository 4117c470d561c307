#!/usr/bin/env bash
# Proves the lock-free parts by loom: every interleaving of a few threads, up
# to a bound on preemptions. Three runs:
#
# 1. epochs that never reclaim, with a step before each operation that lets the
#    scheduler switch where loom by itself would not;
# 2. the same without that step, lest it hide a missing fence;
# 3. the real epochs, at one preemption and without that step (it cannot be taken
#    when the epochs end with the model), each model of the table for a limited
#    time: one that needs longer is explored in part.
#
# Each model prints how many executions it took.
#
#   ci/loom.sh [PREEMPTIONS [SECONDS]]    the bound in runs 1 and 2 instead of
#                                         each model's own; seconds for each
#                                         model in run 3, by default 5
source "$(dirname "$0")/common.sh"

if [[ $# -gt 0 ]]; then
    export RELAY_LOOM_PREEMPTIONS=$1
fi
seconds=${2:-5}

models() {
    local which=$1
    shift
    run env "$@" cargo test --release --lib "$which" -- --nocapture
}
mock=(RUSTFLAGS="--cfg relay_loom" CARGO_TARGET_DIR="$target/loom")
real=(RUSTFLAGS="--cfg relay_loom --cfg crossbeam_loom" CARGO_TARGET_DIR="$target/loom-epochs")

models models "${mock[@]}" RELAY_LOOM_STEPS=1
models models "${mock[@]}" RELAY_LOOM_STEPS=0
models table::models "${real[@]}" RELAY_LOOM_STEPS=0 RELAY_LOOM_PREEMPTIONS=1 \
    LOOM_MAX_DURATION="$seconds" LOOM_CHECKPOINT_INTERVAL=1000
