#!/usr/bin/env bash
# Proves that dependencies come from crates.io under licences we accept, if
# cargo-deny is installed; says so if it is not. No arguments.
source "$(dirname "$0")/common.sh"

if ! cargo deny --version >/dev/null 2>&1; then
    echo "cargo-deny is not installed: licences and sources are not checked"
    exit 0
fi
run cargo deny check licenses bans sources
