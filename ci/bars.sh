#!/usr/bin/env bash
# Measures this crate beside its peers and itself, and judges every bar that
# BENCHMARKS.md names: prints a row each with the bar, the figure and `met`,
# `missed` or `recorded`. Fails when one is missed. All but three figures are ratios
# of one run, but the machine should be left alone meanwhile. Takes some eight
# minutes, and more to build the peers.
#
#   ci/bars.sh             measures and judges
#   ci/bars.sh --write     also writes the tables of BENCHMARKS.md and the plot
#   ci/bars.sh --judge     judges what was measured last, without measuring
source "$(dirname "$0")/common.sh"
need python3 python3
# pingora's compression builds with it.
need cmake cmake

results=$target/bars.tsv
if [[ ${1:-} != --judge ]]; then
    build=(cargo build --release --locked --manifest-path benches/peers/Cargo.toml --target-dir "$target/peers")
    run "${build[@]}"
    rm -f "$results"
    benches=(memory table registration churn growth tails selection price pairs regret reclamation)
    for bench in "${benches[@]}"; do
        BENCH_RESULTS=$results run "$target/peers/release/$bench"
    done
    run cargo bench --bench hanging_dht --features conformance | tee "$target/hanging_dht.txt"
fi
if [[ ${1:-} == --write ]]; then
    BENCH_RESULTS=$results run "$target/peers/release/plot" benches/find_relay.svg
fi
python3 ci/bars.py "$results" "$target/hanging_dht.txt" "${1:-}"
