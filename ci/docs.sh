#!/usr/bin/env bash
# Proves that the documentation builds without a warning (broken links above
# all): what users see, and what maintainers see; and that all evidence named in
# src/evidence.md is there. No arguments.
source "$(dirname "$0")/common.sh"
need python3 python3

run python3 - <<'PYTHON'
"""Looks up every path, test, model and seeded bug that the evidence names."""
import pathlib
import re
import sys

page = pathlib.Path("src/evidence.md").read_text()
sources = [file.read_text() for part in ("src", "tests") for file in pathlib.Path(part).rglob("*.rs")]
tests = set(re.findall(r"fn (\w+)", "\n".join(sources)))
seeded = set(re.findall(r'^    \("([^"]+)", ', pathlib.Path("ci/mutants.py").read_text(), re.M))
missing, found = [], 0
for name in set(re.findall(r"`([^`]+)`", page)):
    if name.startswith("mutant: "):
        is_there = name.removeprefix("mutant: ") in seeded
    elif name.count("_") > 2 and re.fullmatch(r"\w+", name):
        is_there = name in tests
    elif "/" in name:
        is_there = pathlib.Path(name.split()[0]).exists()
    else:
        continue
    found += 1
    if not is_there:
        missing.append(name)
if missing or not found:
    sys.exit(f"not there: {sorted(missing)}")
print(f"{found} pieces of evidence are there", file=sys.stderr)
PYTHON

export RUSTDOCFLAGS="-D warnings"
run cargo doc --no-deps --all-features
# As docs.rs builds it, where each item says which feature it needs.
run env RUSTC_BOOTSTRAP=1 RUSTDOCFLAGS="$RUSTDOCFLAGS --cfg docsrs" \
    cargo doc --no-deps --all-features --target-dir "$target/api"
# Links lead somewhere in a build without the DHT, and without test doubles, as well.
run cargo doc --no-deps --no-default-features --target-dir "$target/lean-docs"
run cargo doc --no-deps --target-dir "$target/lean-docs"
# Public items may link to private ones only where those are documented, too.
run cargo doc --no-deps --all-features --document-private-items \
    --target-dir "$target/private-docs"
