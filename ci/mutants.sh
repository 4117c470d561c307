#!/usr/bin/env bash
# Proves that the checks can fail. Each seeded bug in mutants.py must be found by the
# loom model or the test named beside it: some ten minutes. With --values, bugs that
# cargo-mutants seeds wherever it can in values, scoring, the codec of records and the
# options must be found by the tests of those: an hour or so. .cargo/mutants.toml
# lists which ones are let live, and why.
#
#   ci/mutants.sh [WORD...]             only bugs whose names contain one of the words
#   ci/mutants.sh --values [GROUP...]   values, scoring, codec, options; by default all
source "$(dirname "$0")/common.sh"
need python3 python3
need redis-server redis-server
need openssl openssl
need_openssl

if [[ ${1:-} != --values ]]; then
    exec python3 ci/mutants.py "$@"
fi
shift
cargo mutants --version >/dev/null 2>&1 || run cargo install --locked cargo-mutants

# One build directory for all, so that a bug costs the crate and its tests alone. A
# little optimised, the tests take a tenth of the time, and check what they did.
export CARGO_TARGET_DIR=$target/mutants-values
export CARGO_INCREMENTAL=1 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_DEV_OPT_LEVEL=1
alive=0
# A group, its files, the programs that test it (no others are built), and what is given to them.
seed() {
    local group=$1 word args=()
    set -f
    for word in $2; do args+=(--file "$word"); done
    for word in $3; do args+=("--cargo-arg=$word"); done
    set +f
    shift 3
    local out=$CARGO_TARGET_DIR/$group
    mkdir -p "$out"
    # A bug with which the tests do not end (status 3) is found, too.
    run cargo mutants --colors never --baseline skip --timeout 300 --output "$out" "${args[@]}" -- -- "$@" ||
        [[ $? -eq 3 && ! -s $out/mutants.out/missed.txt ]] || alive=1
}

groups=("$@")
[[ $# -gt 0 ]] || groups=(codec scoring options values)
for group in "${groups[@]}"; do
    case $group in
        codec)
            seed codec 'src/{cbor/mod,dht/record/codec}.rs' '--lib --test records' cbor:: record:: bytes:: vectors::
            ;;
        scoring)
            seed scoring 'src/{table/snapshot/score,select/candidate,select/criteria}.rs' '--lib --test semantics' \
                --skip relay:: --skip dht:: --skip rtt::
            ;;
        options)
            seed options 'src/{select,relay}/options.rs' '--lib --test semantics' \
                --skip pairs:: --skip dht:: --skip rtt::
            ;;
        values)
            seed values 'src/relay/{id,nat,info,reach}.rs src/relay/endpoint/*.rs' \
                '--lib --test semantics' \
                --skip pairs:: --skip registry::bans:: --skip dht:: --skip rtt:: --skip select::
            ;;
        *) fail "no group $group" ;;
    esac
done
exit "$alive"
