#!/usr/bin/env bash
# Proves that the main jobs do what they promise. relay_world, in a small world:
# one JSON object, no promise broken, the same simulation for the same seed, and a
# page with every part that asks for no other file. mesh,
# with every engine, and once with many relays: as many found as are wanted, nothing
# forged or replayed believed.
# config_reload, while its file changes: the relays are those of the last list that
# could be read. All: one clear line on stderr for a bad argument or file.
#
#   ci/example.sh [SECONDS [OPTION...]]    simulated seconds (default 60), and
#                                          further options for the example
source "$(dirname "$0")/common.sh"
need_openssl
need python3 python3
need redis-server redis-server

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
        --page "$answers/$answer.html" >"$answers/$answer"
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

# The page: well-formed, whole, without other files; the simulated parts are the same for
# the same seed.
cat >"$answers/page.py" <<'PYTHON'
import html.parser
import re
import sys

PARTS = {"summary", "load", "paths", "map", "rules", "decision", "finds", "figures"}
DIFFERENT = {"summary", "finds", "figures"}  # What the full-speed run found is in these.
VOID = {"meta", "circle", "line", "polyline", "polygon", "rect"}


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.open, self.parts, self.charts, self.simulated, self.faults = [], [], 0, [], []
        self.feed(text)
        self.close()
        self.faults += [f"{tag} is not closed" for tag, _ in self.open]

    def keep(self, what):
        if not any(part in DIFFERENT for _, part in self.open):
            self.simulated.append(what)

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        self.charts += tag == "svg"
        if part := names.get("id"):
            self.parts.append(part)
        if tag in ("script", "link", "img", "iframe", "base", "use", "image"):
            self.faults.append(f"<{tag}>")
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "data", "action"):
                self.faults.append(f"{name}={value}")
        self.handle_data(" ".join(value or "" for _, value in attributes))
        if tag not in VOID:
            self.open.append((tag, names.get("id")))

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open[-1][0] != tag:
            self.faults.append(f"</{tag}> where {self.open[-1:]} is open")
        else:
            self.open.pop()

    def handle_data(self, data):
        self.faults += re.findall(r"https?://\S*|url\(\S*|@import", data)
        self.keep(data)


pages = [Page(open(path).read()) for path in sys.argv[1:]]
broken = [fault for page in pages for fault in page.faults]
for page in pages:
    if sorted(page.parts) != sorted(PARTS) or page.charts != 5:
        broken.append(f"parts {page.parts} with {page.charts} charts")
    for what in ("In this run:", "What to see:", "NaN"):
        count = sum(data.count(what) for data in page.simulated)
        if (count == 0) != (what == "NaN"):
            broken.append(f"{what} {count} times")
if any(page.simulated != pages[0].simulated for page in pages):
    broken.append("the simulated parts differ")
if broken:
    sys.exit("\n".join(broken))
PYTHON
run python3 "$answers/page.py" "$answers/first.html" "$answers/second.html"

# Without --json the program says where the page is: in the target directory, wherever it is called.
(cd "$answers" && run "$relay_world" --seconds "$seconds" --relays 12 >"$answers/table")
page=$(sed -n 's/^The same as a page, with charts: //p' "$answers/table")
[[ $page == */relay_world.html && ! -e $answers/relay_world.html ]] || fail "page: $page"
run python3 "$answers/page.py" "$page"

# Every rule beside the others, in the order in which they are to be shown.
run "$relay_world" --compare --seeds 2 --seconds "$seconds" --json "$@" >"$answers/rules"
cat "$answers/rules"
python3 - "$answers/rules" <<'PYTHON'
import json
import re
import sys

lines = json.load(open(sys.argv[1]))
rules = [line["rule"] for line in lines]
if rules != ["registry", "random", "nearest", "p2c", "oracle"]:
    sys.exit(f"compared {rules}")
conclusions = {line["conclusion"] for line in lines}
path = re.search(r"at most ([0-9.]+) times the shortest path", min(conclusions))
own = lines[0]["stretch_p90"]
if len(conclusions) != 1 or not path or abs(float(path[1]) - own) > 0.01:
    sys.exit(f"concluded {conclusions}, where the registry has {own}")
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
printf '0 -1 -1\n-1 0 -1\n-1 -1 0\n' >"$answers/unmeasured"
refuses "$relay_world" --rtt "$answers/unmeasured"
printf '0 5 -1\n5 0 -1\n-1 -1 0\n' >"$answers/pathless"
refuses "$relay_world" --rtt "$answers/pathless"
refuses "$relay_world" --page "$answers/absent/page.html"
refuses "$relay_world" --page "$answers"
refuses "$relay_world" --page page.html --compare

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

# The mesh; it also builds without the engines that need features of their own.
run cargo check --features conformance --example mesh
mesh=$target/release/examples/mesh
refuses "$mesh" --relays none
refuses "$mesh" --wanted 51
refuses env PATH=/nowhere "$mesh" --engine redis

# Runs it with so many relays over an engine; the relays that joining nodes want are given, too.
mesh_keeps_promises() {
    local engine=$1 relays=$2 wanted=$3
    run "$mesh" --engine "$engine" --relays "$relays" --seed 1 --json | tee "$answers/$engine"
    python3 - "$answers/$engine" "$relays" "$wanted" <<'PYTHON'
import json
import sys

answer = json.load(open(sys.argv[1]))
relays, wanted = map(int, sys.argv[2:])
expected = {
    "registries": relays,
    "published": relays,
    "wanted": wanted,
    "discovered_share": 1.0,
    "after_kill_share": 1.0,
    "withdrawn_seen": 0,
    "forged_accepted": 0,
    "replayed_accepted": 0,
}
broken = [
    f"{name} is {answer.get(name)}, not {value}"
    for name, value in expected.items()
    if answer.get(name) != value
]
for name in (
    "first_relay_ms",
    "all_relays_ms",
    "requests_shards",
    "bytes",
    "forged_offered",
    "replayed_offered",
):
    if not (answer.get(name) or 0) > 0:
        broken.append(f"{name} is {answer.get(name)}")
if broken:
    sys.exit("\n".join(broken))
PYTHON
}
for engine in memory kad mainline redis; do
    mesh_keeps_promises "$engine" 50 50
done
mesh_keeps_promises memory 2000 64
