#!/usr/bin/env bash
# Proves that the documentation builds without a warning (broken links above
# all): what users see, and what maintainers see. No arguments.
source "$(dirname "$0")/common.sh"

export RUSTDOCFLAGS="-D warnings"
run cargo doc --no-deps --all-features
# Public items may link to private ones only where those are documented, too.
run cargo doc --no-deps --all-features --document-private-items \
    --target-dir "$target/private-docs"
