#!/usr/bin/env bash
# Proves, for a short time, that every answer is right and all memory comes back
# while everything that the registry can do is done at once.
#
#   ci/soak.sh [SECONDS [OPTION...]]    by default 20; further options for the
#                                       example
source "$(dirname "$0")/common.sh"
need_openssl

seconds=${1:-20}
shift $(($# > 0 ? 1 : 0))
run cargo build --release --all-features --example soak
run timeout --kill-after=10 "$((seconds + 120))" \
    "$target/release/examples/soak" --seconds "$seconds" "$@"
