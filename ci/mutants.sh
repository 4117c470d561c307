#!/usr/bin/env bash
# Proves that the loom models can fail: each seeded bug in mutants.py must be
# found by the model named beside it. Some five minutes; words as arguments run
# only the mutants whose names contain one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 ci/mutants.py "$@"
