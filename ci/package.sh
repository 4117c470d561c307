#!/usr/bin/env bash
# Proves that the crate can be published: the package builds by itself, holds
# what it should and nothing else, and names no place on this machine.
# No arguments.
source "$(dirname "$0")/common.sh"

files=$(run cargo package --allow-dirty --list)
echo "$files"

expected='^(Cargo\.(toml|toml\.orig|lock)|\.cargo_vcs_info\.json|README\.md|ARCHITECTURE\.md|BENCHMARKS\.md|CHANGELOG\.md|LICENSE-(MIT|APACHE)|(src|tests|examples)/.*\.rs|src/.*\.md|benches/find_relay\.svg|benches/([a-z]+/)?[a-z_]+\.rs)$'
if unexpected=$(grep -Ev "$expected" <<<"$files"); then
    fail "not expected in the package:"$'\n'"$unexpected"
fi
for file in README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE src/lib.rs; do
    grep -qx "$file" <<<"$files" || fail "$file is missing from the package"
done

run cargo package --allow-dirty --target-dir "$target"
crate=$(ls -t "$target"/package/*.crate | head -n 1)
contents=$(mktemp -d)
trap 'rm -rf "$contents"' EXIT
tar -xzf "$crate" -C "$contents"
if grep -rnE "(/home/|/root/|/Users/|/tmp/)[a-z]" "$contents"; then
    fail "the package names places on a machine"
fi
