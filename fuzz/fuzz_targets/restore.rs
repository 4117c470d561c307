//! Any bytes as a save: nothing panics, and what is restored is restored again from its own save.
//!
//! The input is read as it is. It is also read as the entries of a save, with the header that they
//! should have before them and the checksum behind, so that the fuzzer gets past both.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use relay_registry::dht::{DhtOptions, Memory};
use relay_registry::{Maintenance, ManualClock, NodeId, Registry, RegistryBuilder, RelayInfo};
use sha2::{Digest, Sha256};

const EPOCH: Duration = Duration::from_secs(1_800_000_000);

/// Magic, version, and an entry that says when the save was made.
const HEAD: &[u8] = b"\x89RELAYS\n\0\x01\0\0\0\0\0\x17\xa3\0\0\
    \x01\x1b\x18\xfa\xe2\x76\x93\xb4\x00\x00\x02\x1b\x00\x00\x00\x8b\xb2\xc9\x70\x00";

fuzz_target!(|bytes: &[u8]| {
    if let Some(builder) = read(bytes) {
        restored(builder);
    }
    let mut save = [HEAD, bytes].concat();
    finished(&mut save);
    if let Some(builder) = read(&save) {
        restored(builder);
    }
    // The input as one entry.
    let len = (bytes.len() as u32).to_be_bytes();
    let mut save = [HEAD, &len, bytes].concat();
    finished(&mut save);
    if let Some(builder) = read(&save) {
        restored(builder);
    }
});

fn finished(save: &mut Vec<u8>) {
    save.extend([0; 4]);
    let digest = Sha256::digest(&*save);
    save.extend_from_slice(&digest);
}

fn read(save: &[u8]) -> Option<RegistryBuilder> {
    let wall = ManualClock::new();
    wall.advance(EPOCH);
    let options = DhtOptions::new()
        .worker_threads(0)
        .probe(|_: &_, _: &_, _| Ok(Duration::from_millis(1)));
    let builder = Registry::builder()
        .max_relays(8)
        .max_peers(8)
        .maintenance(Maintenance::Manual)
        .clock(ManualClock::new())
        .wall_clock(wall)
        .dht(Memory::new(), options);
    match builder.restore(save) {
        Ok(builder) => Some(builder),
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn restored(builder: RegistryBuilder) {
    let registry = builder.build().expect("valid settings");
    let relays = ids(&registry);
    let report = registry.restored().expect("it was restored");
    assert_eq!(relays.len(), report.live);
    let target = NodeId::from([0xee; 32]);
    if let Ok(found) = registry.find_relay(&target) {
        assert!(relays.contains(&found.node_id()));
    }
    let mut save = Vec::new();
    registry.save(&mut save).expect("memory takes all");
    let again = read(&save).expect("its own save").build();
    assert_eq!(ids(&again.expect("valid settings")), relays);
    // Each of them can renew and leave.
    for relay in &relays {
        assert!(registry.renew(relay).is_ok() && registry.unregister(relay));
    }
    registry.maintain();
}

fn ids(registry: &Registry) -> Vec<NodeId> {
    let mut ids: Vec<_> = registry.relays().iter().map(RelayInfo::node_id).collect();
    ids.sort();
    ids
}
