//! The suite, on the engines that need no network.

use relay_registry::dht::{
    Answer, DhtError, Kad, Limits, Memory, Network, Put, RawKad, RawMemory, ValueSink, conformance,
};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

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

#[test]
fn kad_whose_lists_do_not_divide_conforms() {
    let raw = RawMemory::new(8);
    let network = Network::default();
    conformance::check(
        || Kad::new(raw.clone(), network).with_max_depth(0),
        &network,
    );
}

/// A raw store like that of libp2p, used as it is: each node keeps a copy of what it wrote, and
/// reads that one back. So a relay believes that it is listed, whatever others wrote.
struct KeepsOwnCopies {
    raw: RawMemory,
    own: Mutex<HashMap<[u8; 32], Vec<u8>>>,
    /// All that race have read before one writes.
    first_read: Mutex<Option<Arc<Barrier>>>,
}

impl RawKad for KeepsOwnCopies {
    fn max_value(&self) -> usize {
        self.raw.max_value()
    }

    fn store(&self, key: [u8; 32], value: &[u8], deadline: Instant) -> Result<Put, DhtError> {
        self.own.lock().unwrap().insert(key, value.to_vec());
        self.raw.store(key, value, deadline)
    }

    fn find_value(
        &self,
        key: [u8; 32],
        deadline: Instant,
        sink: &mut ValueSink<'_>,
    ) -> Result<Answer, DhtError> {
        if let Some(own) = self.own.lock().unwrap().get(&key) {
            let _ = sink(own);
            return Ok(Answer::complete(1, 1));
        }
        let answer = self.raw.find_value(key, deadline, sink);
        let first_read = self.first_read.lock().unwrap().take();
        if let Some(barrier) = first_read {
            barrier.wait();
        }
        answer
    }
}

#[test]
fn a_store_that_reads_its_own_copies_back_does_not_conform() {
    let (network, raw) = (Network::default(), RawMemory::new(8));
    let (handles, barrier) = (AtomicUsize::new(0), Arc::new(Barrier::new(16)));
    let make = || {
        // After the handles of the suite for writing and reading.
        let races = handles.fetch_add(1, Ordering::SeqCst) >= 2;
        let store = KeepsOwnCopies {
            raw: raw.clone(),
            own: Mutex::default(),
            first_read: Mutex::new(races.then(|| Arc::clone(&barrier))),
        };
        Kad::new(store, network)
    };
    let suite = conformance::Suite::new(make, &network);
    let race = || suite.a_race_of_joins_loses_no_relay_for_long();
    assert!(catch_unwind(AssertUnwindSafe(race)).is_err());
}
