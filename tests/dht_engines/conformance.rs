//! The suite, on the engines that need no network.

use relay_registry::dht::{Kad, Limits, Memory, Network, RawMemory, conformance};
use std::time::Duration;

#[test]
fn memory_conforms() {
    let network = Memory::new();
    conformance::check(|| network.connect(), &Network::default());
}

#[test]
fn memory_of_one_node_conforms() {
    let network = Memory::builder().nodes(1).build();
    conformance::Suite::new(|| network.connect(), &Network::default())
        .request_timeout(Duration::from_secs(10))
        .check();
}

#[test]
fn memory_with_tight_limits_conforms() {
    let limits = Limits::new(400, 1, Duration::from_secs(3_600), 1);
    let network = Memory::builder().limits(limits).build();
    conformance::check(|| network.connect(), &Network::default());
}

#[test]
fn memory_without_a_directory_conforms() {
    let limits = Limits::new(400, 4, Duration::from_secs(3_600), 0);
    let network = Memory::builder().limits(limits).build();
    conformance::check(|| network.connect(), &Network::default());
}

#[test]
fn kad_conforms() {
    let network = Network::new(b"kad").expect("a short tag");
    let raw = RawMemory::new(30);
    conformance::check(|| Kad::new(raw.clone(), network), &network);
}

#[test]
fn kad_with_one_list_conforms() {
    let network = Network::default();
    let raw = RawMemory::new(1);
    conformance::check(|| Kad::new(raw.clone(), network).with_shards(1), &network);
}
