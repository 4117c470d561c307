#!/usr/bin/env bash
# Proves that the public API is the one that ci/public-api.txt lists, so that no
# change of it goes unseen.
#
#   ci/api.sh            compares the listing; about a minute with a cold cache
#   ci/api.sh --update   writes the listing anew; commit it with the change
#   ci/api.sh --semver [rev]
#                        runs cargo-semver-checks against a git revision, and
#                        installs the tool if it is missing
#
# The listing is of all features. It is made from rustdoc's JSON, which is unstable:
# RUSTC_BOOTSTRAP=1 lets the stable toolchain write it. Another Rust may write another
# version of the JSON: then change the version in ci/public-api/Cargo.toml.
#
# `--semver` is no step of .ci/run: to install the tool takes some five minutes on two
# cores. Its baseline is the latest tag that begins with "v", as the tag is what was
# published. Until there is one, nothing is promised, and the baseline is the
# merge base with the branch main: it tells which changes of a branch would break users.
source "$(dirname "$0")/common.sh"
need_openssl

semver_checks=0.51.0
listing=ci/public-api.txt

semver() {
    local baseline=${1:-}
    if [[ -z $baseline ]]; then
        baseline=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null ||
            git merge-base HEAD main)
    fi
    local tool=$target/tools
    [[ $("$tool/bin/cargo-semver-checks" semver-checks --version 2>/dev/null) == *" $semver_checks" ]] ||
        run cargo install --locked --root "$tool" --version "$semver_checks" cargo-semver-checks
    # As a release without breaking changes: what is found then is one.
    run env RUSTC_BOOTSTRAP=1 "$tool/bin/cargo-semver-checks" semver-checks \
        --baseline-rev "$baseline" --all-features --release-type minor
}

current() {
    run env RUSTC_BOOTSTRAP=1 cargo rustdoc --quiet --lib --all-features --target-dir "$target/api" -- \
        -Z unstable-options --output-format json
    run cargo run --quiet --locked --manifest-path ci/public-api/Cargo.toml --target-dir "$target/api" -- \
        "$target/api/doc/relay_registry.json"
}

case ${1:-} in
--semver) semver "${2:-}" ;;
--update)
    current >"$listing.new"
    mv "$listing.new" "$listing"
    ;;
'')
    found=$(mktemp)
    trap 'rm -f "$found"' EXIT
    current >"$found"
    diff -u "$listing" "$found" ||
        fail "the public API has changed: see to it that this is meant, then run ci/api.sh --update"
    printf 'the public API is as listed, %s items\n' "$(wc -l <"$listing")" >&2
    ;;
*) fail "no such argument: $1" ;;
esac
