#!/usr/bin/env bash
# Checks that the crate builds with combinations of its features, those that one of them
# implies left out: two halves at once, each in a build directory of its own.
#
#   ci/features.sh          each feature alone, and none
#   ci/features.sh --pairs  all pairs, too
#   ci/features.sh --all    every combination: six minutes or so
source "$(dirname "$0")/common.sh"
need_openssl

cargo hack --version >/dev/null 2>&1 || run cargo install --locked cargo-hack
depth=(--depth 1)
[[ ${1:-} == --pairs ]] && depth=(--depth 2)
[[ ${1:-} == --all ]] && depth=()

half() {
    RUSTFLAGS="-D warnings" run cargo hack check --lib --feature-powerset "${depth[@]}" \
        --exclude-features default --partition "$1/2" --target-dir "$target/features-$1"
}
half 1 &
other=$!
half 2
wait "$other"
