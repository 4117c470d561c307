#!/usr/bin/env bash
# Proves that the crate can be published: the package builds by itself, holds
# what it should and nothing else, names no place on this machine, and its Markdown
# files link to none that is not in it.
# No arguments.
source "$(dirname "$0")/common.sh"

files=$(run cargo package --allow-dirty --list)
echo "$files"

expected='^(Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json|README\.md|ARCHITECTURE\.md|BENCHMARKS\.md|CHANGELOG\.md|CONTRIBUTING\.md|SECURITY\.md|docs/api-guidelines\.md|LICENSE-(MIT|APACHE)|(src|tests|examples)/.*\.rs|src/.*\.(md|lua)|src/guide/alerts\.yml|examples/relay_world/page/style\.css|benches/find_relay\.svg|benches/([a-z]+/)?[a-z_]+\.rs)$'
if unexpected=$(grep -Ev "$expected" <<<"$files"); then
    fail "not expected in the package:"$'\n'"$unexpected"
fi
# They are packages of their own.
for example in broker libp2p; do
    ! grep -q "^examples/$example/" <<<"$files" || fail "the example $example is in the package"
done
for file in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE src/lib.rs; do
    grep -qx "$file" <<<"$files" || fail "$file is missing from the package"
done

run cargo package --allow-dirty --target-dir "$target"
crate=$(ls -t "$target"/package/*.crate | head -n 1)
contents=$(mktemp -d)
trap 'rm -rf "$contents"' EXIT
tar -xzf "$crate" -C "$contents"
need python3 python3
run python3 - "$contents"/* <<'PYTHON'
"""Looks up every relative link of the package's Markdown files."""
import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])
found, missing = 0, []
for page in root.rglob("*.md"):
    for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if re.match(r"[a-z]+:", link) or link == "crate" or "::" in link:
            continue
        found += 1
        if not (page.parent / link).exists():
            missing.append(f"{page.relative_to(root)}: {link}")
if missing or not found:
    sys.exit(f"links that lead nowhere: {missing}")
print(f"{found} links between files of the package lead to a file", file=sys.stderr)
PYTHON
if grep -rnE "(/home/|/root/|/Users/|/tmp/)[a-z]" "$contents"; then
    fail "the package names places on a machine"
fi
