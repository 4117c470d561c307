#!/usr/bin/env bash
# Proves that the checks can fail: each seeded bug in mutants.py must be found by
# the loom model or the test named beside it. Words as arguments run only the
# mutants whose names contain one of them. Some fifteen minutes.
#
#   ci/mutants.sh [WORD...]
source "$(dirname "$0")/common.sh"
need python3 python3
exec python3 ci/mutants.py "$@"
