#!/usr/bin/env bash
# Proves that sanitizers find nothing wrong with the crate on its real
# dependencies while threads race:
#
# 1. AddressSanitizer, with leaks, over the soak, the multi-threaded tests, those of memory,
#    and the unit tests of the table and of what it synchronises with, among them those
#    of what models have a stand-in for: stores in limbo and zeroed slices;
# 2. ThreadSanitizer over the soak: a plain program, for the tests' own harness
#    gives false alarms. What is suppressed is in thread-sanitizer.supp, each with
#    its reason.
#
# That they can fail was seen with three bugs, seeded one at a time: records given
# back to the pool without waiting for the epoch (run 2: a race in `Record::begin`),
# no reference to the store left with leases that outlive their registry (run 1: use
# after free), and one that is never dropped (run 1: leaks). The unit tests found three more:
# what was announced dropped with its registry (use after free), a zeroed slice without
# room to align (heap overflow), and one whose items are not dropped (leaks).
#
# A compiler from rustup will do: RUSTC_BOOTSTRAP lets it use the sanitizers that
# it comes with. The standard library is not instrumented.
#
#   ci/sanitizers.sh [SECONDS]    of soak under each sanitizer, by default 20
source "$(dirname "$0")/common.sh"
need llvm-symbolizer llvm

seconds=${1:-20}
host=$(rustc -vV | sed -n 's/^host: //p')
export RUSTC_BOOTSTRAP=1 CARGO_PROFILE_RELEASE_DEBUG=line-tables-only

# Under one sanitizer: a build of its own, with its flags, for this machine.
sanitized() {
    local sanitizer=$1 flags=$2
    shift 2
    run env RUSTFLAGS="-Zsanitizer=$sanitizer $flags" \
        cargo "$@" --release --target "$host" --target-dir "$target/sanitizers/$sanitizer"
}

# A corrupted list can loop, and eat all memory: what is resident is bounded by
# the sanitizers themselves, for address space they take by the terabyte.
bounded() {
    run timeout --kill-after=10 "$((seconds + 300))" "$@"
}
common="halt_on_error=1:exitcode=66:hard_rss_limit_mb=4096"

export ASAN_OPTIONS="$common:detect_leaks=1:detect_stack_use_after_return=1"
# Less optimised: built in half the time.
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1
sanitized address "" build --example soak
bounded "$target/sanitizers/address/$host/release/examples/soak" --seconds "$seconds"
sanitized address "" test --no-run --lib --test threads --test memory
# A test program, and what is given to it.
tested() {
    local newest
    newest=$(ls -t "$target/sanitizers/address/$host/release/deps/$1"-* | grep -v '\.d$' | head -n 1)
    bounded "$newest" --quiet "${@:2}"
}
tested threads
# What the sanitizer keeps beside each allocation is resident, too.
tested memory --skip what_is_used_is_resident
# More memory than there is is asked for, and refused.
ASAN_OPTIONS="$ASAN_OPTIONS:allocator_may_return_null=1" tested relay_registry sync:: table::

# Suppressions go by v0 names, as they are where all is optimised. Without the cfgs the
# fences in crossbeam-epoch, which ThreadSanitizer does not understand, would look like races.
unset CARGO_PROFILE_RELEASE_OPT_LEVEL
flags="-Csymbol-mangling-version=v0 -Cunsafe-allow-abi-mismatch=sanitizer --cfg crossbeam_sanitize --cfg crossbeam_sanitize_thread"
export TSAN_OPTIONS="$common:history_size=4:suppressions=$PWD/ci/thread-sanitizer.supp"
sanitized thread "$flags" build --example soak
bounded "$target/sanitizers/thread/$host/release/examples/soak" --seconds "$seconds"
