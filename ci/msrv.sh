#!/usr/bin/env bash
# Proves that the crate keeps to the rust-version it declares: the standard
# library by clippy, the dependencies by what they declare themselves, and all
# of it by a build if that toolchain is installed. No arguments.
source "$(dirname "$0")/common.sh"
need python3 python3

run cargo clippy --lib --all-features -- -D clippy::incompatible_msrv

metadata=$(mktemp)
trap 'rm -f "$metadata"' EXIT
run cargo metadata --format-version 1 --all-features --locked >"$metadata"
version=$(python3 - "$metadata" <<'PYTHON'
"""Follows normal and build dependencies from the root; prints its version."""
import json
import sys

with open(sys.argv[1]) as file:
    metadata = json.load(file)
packages = {package["id"]: package for package in metadata["packages"]}
nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}


def number(version):
    return tuple(int(part) for part in (version.split("-")[0] + ".0.0").split(".")[:3])


# What only a cfg for loom switches on is for the project's own models.
def is_needed(kind):
    return kind["kind"] != "dev" and "_loom" not in (kind["target"] or "")


root = metadata["resolve"]["root"]
ours = packages[root]["rust_version"]
seen, todo, newer = {root}, [root], []
while todo:
    for dependency in nodes[todo.pop()]["deps"]:
        package = packages[dependency["pkg"]]
        if package["id"] in seen or not any(map(is_needed, dependency["dep_kinds"])):
            continue
        seen.add(package["id"])
        todo.append(package["id"])
        declared = package["rust_version"]
        if declared and number(declared) > number(ours):
            newer.append(f'{package["name"]} {package["version"]} needs Rust {declared}')
print(f"{len(seen) - 1} dependencies against Rust {ours}", file=sys.stderr)
if newer:
    sys.exit("\n".join(newer))
print(ours)
PYTHON
)

if cargo "+$version" --version >/dev/null 2>&1; then
    run cargo "+$version" check --all-features --locked --target-dir "$target/msrv"
else
    echo "Rust $version is not installed: no build with it (rustup toolchain install $version)"
fi
