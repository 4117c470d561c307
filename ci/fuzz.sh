#!/usr/bin/env bash
# Fuzzes the crate under AddressSanitizer: `operations` compares sequences of
# operations with a sequential model, `parsing` parses and prints values,
# `coordinates` moves network coordinates by any numbers, `records` decodes and
# checks records of remote nodes, `engine_answers` lets a registry learn from a
# hostile engine, `matrix` reads files of round trips as the example
# `relay_world` does, `restore` restores a registry from any bytes.
#
#   ci/fuzz.sh [--minutes M] [TARGET...]    M minutes for each target instead
#                                           of 8 seconds; by default for all
source "$(dirname "$0")/common.sh"

seconds=8
if [[ ${1:-} == --minutes ]]; then
    seconds=$(($2 * 60))
    shift 2
fi
targets=("$@")
[[ $# -gt 0 ]] || targets=(operations parsing coordinates records engine_answers matrix restore)

need g++ g++
if ! cargo fuzz --version >/dev/null 2>&1; then
    run cargo install --locked cargo-fuzz
fi

# The sanitizer's flags are for nightly only, or for those who say they know.
export RUSTC_BOOTSTRAP=1
host=$(rustc -vV | sed -n 's/^host: //p')
for fuzz_target in "${targets[@]}"; do
    # What is found goes to a copy, so that the committed corpus stays small.
    found=$target/fuzz-corpus/$fuzz_target
    mkdir -p "$found"
    run cargo fuzz run --target "$host" --target-dir "$target/fuzz" "$fuzz_target" \
        "$found" "fuzz/corpus/$fuzz_target" -- \
        -max_total_time="$seconds" -max_len=1024 -timeout=20 -rss_limit_mb=2048 \
        -verbosity=0 -print_funcs=0 -print_final_stats=1
done
