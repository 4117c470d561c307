#!/usr/bin/env bash
# Proves that no hot operation executes over 3 % more instructions than
# benches/instructions/baseline.txt says, as callgrind counts them: the same
# numbers on a busy machine as on an idle one. An operation that got better by
# more than that should be written down, so that it stays so. The counts are of a
# processor with AVX2; without it, finds for pairs execute more.
#
#   ci/instructions.sh             compares
#   ci/instructions.sh --update    writes the baseline anew
#   ci/instructions.sh --profile OPERATION
#                                  shows which functions an operation spends
#                                  them in; by name, as the table has it
source "$(dirname "$0")/common.sh"
need valgrind valgrind
need python3 python3

program=$target/instructions/release/relay-registry-instructions
run env RUSTFLAGS='--cfg getrandom_backend="custom"' CARGO_TARGET_DIR="$target/instructions" \
    cargo build --release --locked --manifest-path benches/instructions/Cargo.toml

counts=$(mktemp -d)
trap 'rm -rf "$counts"' EXIT
run valgrind --tool=callgrind --toggle-collect=counted --zero-before=counted --dump-after=counted --compress-strings=no --compress-pos=no \
    --callgrind-out-file="$counts/part" "$program" >"$counts/calls" 2>"$counts/log" ||
    { cat "$counts/log" >&2; fail "$program failed under callgrind"; }
python3 ci/instructions.py "$counts" "$@"
