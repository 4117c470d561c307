#!/usr/bin/env bash
# Proves that the documentation builds without a warning (broken links above
# all): what users see, and what maintainers see; that every path, test, model,
# seeded bug and metric that the pages name is there; that the page of errors has
# every public one; and that Prometheus takes the alert rules. No arguments.
source "$(dirname "$0")/common.sh"
need_openssl
need python3 python3
need promtool prometheus

run python3 - <<'PYTHON'
"""Looks up every path, test, model, seeded bug and metric that the pages name in backticks."""
import pathlib
import re
import subprocess
import sys

evidence = pathlib.Path("src/evidence.md")
pages = [*sorted(pathlib.Path(".").glob("*.md")), *sorted(pathlib.Path("docs").glob("*.md"))]
pages += sorted(pathlib.Path("src").rglob("*.md"))
listed = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], text=True)
files = {pathlib.Path(name) for name in listed.split() if pathlib.Path(name).exists()}
folders = {folder for file in files for folder in file.parents}
names = {file.name for file in files}
sources = [file.read_text() for file in files if file.suffix == ".rs"]
code = "\n".join(sources)
functions = set(re.findall(r"fn (\w+)", code))
seeded = set(re.findall(r'^    \("([^"]+)", ', pathlib.Path("ci/mutants.py").read_text(), re.M))
suffixes = {file.suffix for file in files} - {""}


def is_there(page, name):
    """Whether it is; None if it is no name of a path, test, model or seeded bug."""
    if name.startswith("mutant: "):
        return name.removeprefix("mutant: ") in seeded
    if re.fullmatch(r"relay_registry_\w+", name):
        return f'"{name}"' in code
    if name.count("_") > 2 and re.fullmatch(r"[\w:]+", name):
        return name.split("::")[-1] in functions
    if page.name == "format.md":
        return None  # What it names else are values of bytes.
    path = name.split()[0]
    if re.fullmatch(r"[\w.-]+", path):
        has_suffix = pathlib.Path(path).suffix in suffixes and path != name.upper()
        return path in names if has_suffix else None
    if re.fullmatch(r"[\w.-]*[a-z][\w.-]*(/[\w.,{}-]+)*/?", path):
        return all(is_path(page, one) for one in expanded(path))
    return None


def expanded(path):
    """All paths that a path with `{one,other}` in it stands for."""
    before, brace, rest = path.partition("{")
    choices, _, after = rest.partition("}")
    return [before + choice + after for choice in choices.split(",")] if brace else [path]


def is_path(page, path):
    """Whether there is such a file or folder, as seen from the repository, its sources, or the page."""
    seen = [root / path for root in (pathlib.Path(), pathlib.Path("src"), page.parent)]
    return any(place in files or place in folders for place in seen)


missing, found = [], 0
for page in pages:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    for name in sorted(set(re.findall(r"`([^`\n]+)`", text))):
        there = is_there(page, name)
        found += there is not None
        if there is False:
            missing.append(f"{page}: {name}")
if missing or not found:
    sys.exit("\n".join(["these are not there:", *missing]))
print(f"{found} names of {len(pages)} pages are there", file=sys.stderr)

# The variants of each are compared by the tests of that page.
listing = pathlib.Path("ci/public-api.txt").read_text()
errors = set(re.findall(r"^impl core::error::Error for .*?(\w+)$", listing, re.M))
explained = set(re.findall(r"^\| `(\w+)", pathlib.Path("src/guide/errors.md").read_text(), re.M))
if errors - explained or not errors:
    sys.exit(f"src/guide/errors.md does not explain {sorted(errors - explained)}")
print(f"{len(errors)} errors are explained", file=sys.stderr)
PYTHON
run promtool check rules src/guide/alerts.yml

export RUSTDOCFLAGS="-D warnings"
run cargo doc --no-deps --all-features
# As docs.rs builds it, where each item says which feature it needs.
run env RUSTC_BOOTSTRAP=1 RUSTDOCFLAGS="$RUSTDOCFLAGS --cfg docsrs" \
    cargo doc --no-deps --all-features --target-dir "$target/api"
# Links lead somewhere in a build without the DHT, and without test doubles, as well.
run cargo doc --no-deps --no-default-features
run cargo doc --no-deps
# Public items may link to private ones only where those are documented, too.
run cargo doc --no-deps --all-features --document-private-items
