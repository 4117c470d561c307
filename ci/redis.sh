#!/usr/bin/env bash
# Proves that the engine over Redis keeps its promises with a real server: the conformance
# suite; a server that is killed, paused, full, a replica, or full of garbage; that a user
# with no other rights than the documented ones is enough; and that over TLS only the
# right server is talked to. No arguments.
source "$(dirname "$0")/common.sh"
need_openssl
need redis-server redis-server
need openssl openssl

# With all features, so that the crate is the one that ci/test.sh built.
run cargo test --all-features --test dht_engines -- redis:: --include-ignored
