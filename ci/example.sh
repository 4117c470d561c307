#!/usr/bin/env bash
# Proves that the main jobs do what they promise. relay_world, in a small world:
# one JSON object, no promise broken, the same simulation for the same seed. mesh,
# with every engine: all relays found, nothing forged or replayed believed. Both:
# one clear line on stderr for a bad argument or file.
#
#   ci/example.sh [SECONDS [OPTION...]]    simulated seconds (default 60), and
#                                          further options for the example
source "$(dirname "$0")/common.sh"
need python3 python3

seconds=${1:-60}
shift $(($# > 0 ? 1 : 0))
# With all features, so that the crate is the one that ci/test.sh and ci/soak.sh built.
run cargo build --release --all-features --example relay_world --example mesh
relay_world=$target/release/examples/relay_world
answers=$(mktemp -d)
trap 'rm -rf "$answers"' EXIT

for answer in first second; do
    run "$relay_world" --seconds "$seconds" --registries 4 --threads 2 --seed 1 --json "$@" \
        >"$answers/$answer"
done
cat "$answers/first"
python3 - "$answers/first" "$answers/second" <<'PYTHON'
import json
import sys

first, second = (json.load(open(path)) for path in sys.argv[1:])
broken = [
    f"{name} is {answer.get(name)}, not 0"
    for answer in (first, second)
    for name in ("capacity_exceeded", "expired_handed_out", "target_handed_out")
    if answer.get(name) != 0
]
for name in ("requests", "relays", "finds_per_second"):
    if not first.get(name, 0) > 0:
        broken.append(f"{name} is {first.get(name)}")
measures = ("stretch_p50", "stretch_p90", "saturated_share", "tries_mean", "failed_share")
for name in ("requests", "refused", *measures):
    if first.get(name) != second.get(name):
        broken.append(f"{name} differs: {first.get(name)} and {second.get(name)}")
if broken:
    sys.exit("\n".join(broken))
PYTHON

# Every rule beside the others, in the order in which they are to be shown.
run "$relay_world" --compare --seeds 2 --seconds "$seconds" --json "$@" >"$answers/rules"
cat "$answers/rules"
python3 - "$answers/rules" <<'PYTHON'
import json
import sys

rules = [line["rule"] for line in json.load(open(sys.argv[1]))]
if rules != ["registry", "random", "nearest", "p2c", "oracle"]:
    sys.exit(f"compared {rules}")
PYTHON

# One line on stderr, nothing on stdout, and an exit code other than 0.
refuses() {
    printf '+ %s\n' "$*" >&2
    if "$@" >"$answers/out" 2>"$answers/err"; then
        fail "accepted: $*"
    fi
    cat "$answers/err"
    [[ $(wc -l <"$answers/err") -eq 1 && ! -s $answers/out ]] || fail "not one line: $*"
}
echo "1 2 three" >"$answers/matrix"
refuses "$relay_world" --frob
refuses "$relay_world" --load minus-one
refuses "$relay_world" --rule best
refuses "$relay_world" --rtt "$answers/absent"
refuses "$relay_world" --rtt "$answers/matrix"

# The mesh, first without the engine over BitTorrent's DHT, which needs no speed to refuse.
run cargo build --features conformance --example mesh
refuses "$target/debug/examples/mesh" --engine mainline
mesh=$target/release/examples/mesh
refuses "$mesh" --relays none
for engine in memory kad mainline; do
    run "$mesh" --engine "$engine" --relays 50 --seed 1 --json | tee "$answers/$engine"
    python3 - "$answers/$engine" <<'PYTHON'
import json
import sys

answer = json.load(open(sys.argv[1]))
wanted = {
    "registries": 50,
    "published": 50,
    "discovered_share": 1.0,
    "after_kill_share": 1.0,
    "withdrawn_seen": 0,
    "forged_accepted": 0,
    "replayed_accepted": 0,
}
broken = [
    f"{name} is {answer.get(name)}, not {value}"
    for name, value in wanted.items()
    if answer.get(name) != value
]
for name in ("first_relay_ms", "all_relays_ms", "forged_offered", "replayed_offered"):
    if not (answer.get(name) or 0) > 0:
        broken.append(f"{name} is {answer.get(name)}")
if broken:
    sys.exit("\n".join(broken))
PYTHON
done
