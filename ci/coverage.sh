#!/usr/bin/env bash
# Measures which lines and functions the tests reach, and lists the functions of the
# crate that none does. Compiles everything anew; not a part of .ci/run.
#
#   ci/coverage.sh [OPTION...]    options for cargo test, such as --test semantics
source "$(dirname "$0")/common.sh"
need_openssl
need python3 python3

cargo llvm-cov --version >/dev/null 2>&1 || run cargo install --locked cargo-llvm-cov
report=$(mktemp)
trap 'rm -f "$report"' EXIT
# It installs llvm-tools by itself.
export CARGO_LLVM_COV_TARGET_DIR=$target/coverage
run cargo llvm-cov --all-features --json --output-path "$report" "$@" </dev/null >&2
python3 - "$report" "$PWD/src/" <<'PYTHON'
"""Prints the totals of src/ and the functions that were never entered."""
import json
import sys

path, source = sys.argv[1:]
data = json.load(open(path))["data"][0]
for kind in ("lines", "functions", "regions"):
    files = [file for file in data["files"] if file["filename"].startswith(source)]
    count = sum(file["summary"][kind]["count"] for file in files)
    covered = sum(file["summary"][kind]["covered"] for file in files)
    print(f"{kind}: {covered} of {count}, {100 * covered / max(count, 1):.1f} %")

# A generic function is entered if any of its instances is.
entered = {}
for function in data["functions"]:
    file = function["filenames"][0]
    if file.startswith(source):
        place = file[len(source):], function["regions"][0][0]
        entered[place] = entered.get(place, 0) + function["count"]
for (file, line), count in sorted(entered.items()):
    if count == 0:
        text = open(source + file).read().splitlines()[line - 1].strip()
        print(f"never entered: src/{file}:{line}: {text}")
PYTHON
