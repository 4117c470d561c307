#!/usr/bin/env bash
# Proves that a newcomer among many relays of BitTorrent's DHT knows 64 of them after at most
# 30 requests for shards, and sees within a refresh that one of them withdraws. The nodes of
# the DHT are on 127.0.0.1. By hand: some ten minutes with 2,000 relays; ci/test.sh does it with 240.
#
#   ci/mainline.sh [RELAYS]    default: 2000
source "$(dirname "$0")/common.sh"
need_openssl

run env RELAYS="${1:-2000}" cargo test --all-features --test dht_engines many:: -- --nocapture
