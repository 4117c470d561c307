#!/usr/bin/env bash
# Counts the cache lines that each operation writes, and those that move between
# cores, on a machine that has 2, 16 or 64 cores as far as the crates can tell;
# models from that how operations scale, beside the same for papaya and dashmap.
# Proves that a new registration writes at most three words of the registry.
#
# The counts are exact. Accesses are recorded by what the compiler calls at each
# of them for ThreadSanitizer, with a recorder in place of its runtime; threads
# take turns, one call at a time, so two cores are enough. A compiler from rustup
# will do: RUSTC_BOOTSTRAP lets it use the sanitizer. The standard library and the
# allocator are not instrumented. Times of one thread and of two are of an
# ordinary build, and as noisy as the machine is busy. Takes some minutes.
#
#   ci/sharing.sh             prints the tables
#   ci/sharing.sh --update    also writes them to BENCHMARKS.md
source "$(dirname "$0")/common.sh"
need python3 python3
need addr2line binutils

host=$(rustc -vV | sed -n 's/^host: //p')
folder=$target/sharing
mkdir -p "$folder"
build=(cargo build --release --locked --manifest-path benches/sharing/Cargo.toml)
run cc -O2 -Wall -Wextra -Werror -c benches/sharing/src/recorder.c -o "$folder/recorder.o"
flags="-Zsanitizer=thread -Zexternal-clangrt -Cunsafe-allow-abi-mismatch=sanitizer"
flags+=" -Cllvm-args=-tsan-instrument-func-entry-exit=0 -Clink-arg=$folder/recorder.o"
run env RUSTC_BOOTSTRAP=1 RUSTFLAGS="$flags" \
    "${build[@]}" --bin count --features recorder --target "$host" --target-dir "$folder/recorded"
run "${build[@]}" --bin time --target-dir "$folder/timed"
run rustc --edition 2024 --test benches/sharing/src/caches.rs -o "$folder/caches"
run "$folder/caches" --quiet

program=$folder/recorded/$host/release/count
for cores in 2 16 64; do
    run "$program" "$cores"
done >"$folder/counts"
run "$folder/timed/release/time" >"$folder/times"
python3 ci/sharing.py "$folder" "$program" "$@"
