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
# Each model prints how many executions it took, and whether they were all; one
# with a single execution fails. At the end is a list of those explored in part.
#
#   ci/loom.sh                                 runs 1 and 2 at the bound that each
#                                              model sets itself, for 5 seconds a
#                                              model; run 3 for 3
#   ci/loom.sh --long [SECONDS [PREEMPTIONS]]  runs 1 and 2 at 3 preemptions, run 3
#                                              at 2; each model for 60 seconds
source "$(dirname "$0")/common.sh"

limits=(RELAY_LOOM_SECONDS=5)
epochs=(RELAY_LOOM_PREEMPTIONS=1 RELAY_LOOM_SECONDS=3)
if [[ ${1:-} == --long ]]; then
    seconds=${2:-60}
    limits=(RELAY_LOOM_PREEMPTIONS="${3:-3}" RELAY_LOOM_SECONDS="$seconds")
    epochs=(RELAY_LOOM_PREEMPTIONS=2 RELAY_LOOM_SECONDS="$seconds")
fi
mock=(RUSTFLAGS="--cfg relay_loom" CARGO_TARGET_DIR="$target/loom")
real=(RUSTFLAGS="--cfg relay_loom --cfg crossbeam_loom" CARGO_TARGET_DIR="$target/loom-epochs")

log=$(mktemp)
explored=$(mktemp)
trap 'rm -f "$log" "$explored"' EXIT
# The number of the run, which models, and with what settings.
models() {
    local number=$1 which=$2
    shift 2
    run env "$@" cargo test --release --lib "$which" -- --nocapture 2>&1 | tee "$log"
    grep -oE '[a-z_:]+: [0-9]+ executions, .*' "$log" | sed "s/^/run $number: /" >>"$explored"
}

models 1 models "${mock[@]}" "${limits[@]}" RELAY_LOOM_STEPS=1
models 2 models "${mock[@]}" "${limits[@]}" RELAY_LOOM_STEPS=0
models 3 table::models "${real[@]}" "${epochs[@]}" RELAY_LOOM_STEPS=0

printf '\nexplored completely: %s, in part: %s\n' \
    "$(grep -c ' completely, ' "$explored")" "$(grep -c ' in part, ' "$explored" || true)"
grep ' in part, ' "$explored" || true
