#!/usr/bin/env bash
# Proves that what users compile comes from crates.io, under licences that deny.toml
# allows: by cargo-deny if it is installed, else by the metadata of the same graph,
# which lacks only its refinements; and that without features there is neither
# cryptography nor a codec in the tree, but the crates listed below alone. No arguments.
source "$(dirname "$0")/common.sh"
need python3 python3

# What the core is built on, and what that brings. The target is fixed, so that the
# answer is the same everywhere.
lean='ahash arc-swap cfg-if crossbeam-epoch crossbeam-utils fastrand getrandom libc lock_api
    once_cell parking_lot parking_lot_core relay-registry rustversion scopeguard smallvec zerocopy'
unwanted=$(run cargo tree --locked --no-default-features --edges normal --prefix none \
    --target x86_64-unknown-linux-gnu --format '{p}' | awk '{print $1}' | sort -u |
    grep -vxF "$(tr -s ' \n' '\n' <<<"$lean")" || true)
[[ -z $unwanted ]] || fail "unwanted without features:" $unwanted

if cargo deny --version >/dev/null 2>&1; then
    run cargo deny check licenses bans sources
    exit
fi
metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
run cargo metadata --format-version 1 --all-features --locked >"$metadata"
python3 - "$metadata" deny.toml <<'PYTHON'
import json
import re
import sys

packages = json.load(open(sys.argv[1]))["packages"]
allow_list = re.search(r"^allow = \[(.*?)\]", open(sys.argv[2]).read(), re.M | re.S)[1]
allowed = set(re.findall(r'"(.+?)"', allow_list))


def is_allowed(expression):
    """Whether an SPDX expression can be met; `/` is the old way to write OR."""
    words = re.findall(r"[()]|[\w.+-]+", expression.replace("/", " OR "))
    terms = {"AND": "and", "OR": "or", "(": "(", ")": ")"}
    # An exception only permits more.
    kept = [word for at, word in enumerate(words) if "WITH" not in (word, words[at - 1])]
    return eval(" ".join(terms.get(word) or str(word in allowed) for word in kept))


refused = [
    f'{package["name"]} {package["version"]}: {what}'
    for package in packages
    for what, holds in (
        (f'licence {package["license"]}', is_allowed(package["license"] or "none")),
        (f'source {package["source"]}', (package["source"] or "").endswith("/crates.io-index")),
    )
    if not holds and package["source"] is not None
]
print(f"{len(packages)} packages against {', '.join(sorted(allowed))}")
if refused:
    sys.exit("\n".join(refused))
PYTHON
