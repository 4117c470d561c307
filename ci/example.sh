#!/usr/bin/env bash
# Proves that the main jobs do what they promise. relay_world, in a small world:
# one JSON object, no promise broken, the same simulation for the same seed. mesh,
# with every engine: all relays found, nothing forged or replayed believed.
# config_reload, while its file changes: the relays are those of the last list that
# could be read. All: one clear line on stderr for a bad argument or file.
#
#   ci/example.sh [SECONDS [OPTION...]]    simulated seconds (default 60), and
#                                          further options for the example
source "$(dirname "$0")/common.sh"
need python3 python3

seconds=${1:-60}
shift $(($# > 0 ? 1 : 0))
# With all features, so that the crate is the one that ci/test.sh and ci/soak.sh built.
run cargo build --release --all-features --example relay_world --example mesh \
    --example config_reload
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

# A file of relays that changes: two relays, then a file that is no list, then another list.
reload=$target/release/examples/config_reload
refuses "$reload"
refuses "$reload" "$answers/relays.json" --every never
printf '+ %s\n' "$reload, while its file changes" >&2
python3 - "$reload" "$answers/relays.json" <<'PYTHON'
import json
import os
import subprocess
import sys

program, path = sys.argv[1:]


def write(text):
    """Replaces the file as a whole."""
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def entry(number, **options):
    return {"id": f"{number:02x}", "endpoint": f"192.0.2.{number}:4433", "options": options}


def is_so(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found}, not {wanted}")


def capacities(answer):
    return {relay["node_id"]: relay["capacity"] for relay in answer["relays"]}


write(json.dumps([entry(1, capacity=500), entry(2), entry(3, capacity=0)]))
running = subprocess.Popen(
    ["timeout", "60", program, path, "--every", "0.02", "--reloads", "2"],
    stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
first = json.loads(running.stdout.readline())
is_so("relays of the first list", capacities(first), {"01": 500, "02": 100})
refused = [(it["relay"], it["error"]["kind"]) for it in first["report"]["refused"]]
is_so("what the first list has wrong", refused, [("03", "invalid-capacity")])

write("[{]")
complaint = running.stderr.readline()
is_so("the file is named", path in complaint, True)

write(json.dumps([entry(1), entry(4, labels=["eu"])]))
second = json.loads(running.stdout.readline())
is_so("relays of the second list", capacities(second), {"01": 100, "04": 100})
counts = {name: second["report"][name] for name in ("registered", "renewed", "removed")}
is_so("what the second list changed", counts, {"registered": 1, "renewed": 1, "removed": 1})
is_so("exit code", running.wait(), 0)
is_so("further complaints", running.stderr.read(), "")
PYTHON

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
