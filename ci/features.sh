#!/usr/bin/env bash
# Checks that the crate builds with every combination of its features, those that one of
# them implies left out: two halves at once, each in a build directory of its own.
#
#   ci/features.sh [DEPTH]    combinations of at most DEPTH features; all by default
source "$(dirname "$0")/common.sh"

cargo hack --version >/dev/null 2>&1 || run cargo install --locked cargo-hack
depth=()
[[ $# -gt 0 ]] && depth=(--depth "$1")

half() {
    RUSTFLAGS="-D warnings" run cargo hack check --lib --feature-powerset "${depth[@]}" \
        --exclude-features default --partition "$1/2" --target-dir "$target/features-$1"
}
half 1 &
other=$!
half 2
wait "$other"
