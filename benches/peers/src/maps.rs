//! Maps from ids to values with a deadline: this crate, and the maps of other crates as a registry would
//! have to use them.
//!
//! All hash with `ahash` and random keys. The value in another crate's map is shared with leases and with
//! the sorted order, so it has an allocation of its own. A look-up follows the pointer and compares the
//! deadline ("deadline read").

use crate::instances::{empty_registry, endpoint, forgetful_registry};
use ahash::RandomState;
use relay_registry::{Endpoint, NodeId, Registration, Registry};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

pub type Id = [u8; 32];

/// A map that is used by several threads.
pub trait Map: Sync {
    const NAME: &'static str;
    type Key: Copy + Send + Sync + From<Id>;

    fn with_room_for(relays: usize) -> Self;
    fn insert(&self, id: Self::Key);
    fn remove(&self, id: &Self::Key);
    fn holds(&self, id: &Self::Key) -> bool;
}

/// The deadline of a relay.
pub struct Deadline(AtomicU64);

impl Deadline {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(u64::MAX)))
    }

    #[inline]
    fn is_ahead(&self) -> bool {
        self.0.load(Ordering::Acquire) > black_box(1)
    }
}

pub struct Ours {
    pub registry: Registry,
    endpoint: Endpoint,
}

impl Ours {
    pub fn renews(&self, id: &NodeId) -> bool {
        self.registry.register(*id, self.endpoint.clone()) == Ok(Registration::Renewed)
    }
}

impl Map for Ours {
    const NAME: &'static str = "relay-registry";
    type Key = NodeId;

    fn with_room_for(relays: usize) -> Self {
        Self {
            registry: empty_registry(relays),
            endpoint: endpoint(),
        }
    }

    #[inline]
    fn insert(&self, id: NodeId) {
        let registered = self.registry.register(id, self.endpoint.clone());
        registered.expect("there is room");
    }

    #[inline]
    fn remove(&self, id: &NodeId) {
        self.registry.unregister(id);
    }

    #[inline]
    fn holds(&self, id: &NodeId) -> bool {
        self.registry.is_relay(id)
    }
}

/// It forgets a relay as soon as it has left.
pub struct OursForgetful(Ours);

impl Map for OursForgetful {
    const NAME: &'static str = "relay-registry, without grace";
    type Key = NodeId;

    fn with_room_for(relays: usize) -> Self {
        Self(Ours {
            registry: forgetful_registry(relays),
            endpoint: endpoint(),
        })
    }

    #[inline]
    fn insert(&self, id: NodeId) {
        self.0.insert(id);
    }

    #[inline]
    fn remove(&self, id: &NodeId) {
        self.0.remove(id);
    }

    #[inline]
    fn holds(&self, id: &NodeId) -> bool {
        self.0.holds(id)
    }
}

/// Without a deadline; each call pins.
pub struct PapayaPlain(pub papaya::HashMap<Id, u64, RandomState>);

impl Map for PapayaPlain {
    const NAME: &'static str = "papaya, no deadline";
    type Key = Id;

    fn with_room_for(relays: usize) -> Self {
        let map = papaya::HashMap::builder().capacity(relays);
        Self(map.hasher(RandomState::new()).build())
    }

    #[inline]
    fn insert(&self, id: Id) {
        self.0.pin().insert(id, black_box(1));
    }

    #[inline]
    fn remove(&self, id: &Id) {
        self.0.pin().remove(id);
    }

    #[inline]
    fn holds(&self, id: &Id) -> bool {
        self.0.pin().get(id).is_some()
    }
}

pub struct Papaya(papaya::HashMap<Id, Arc<Deadline>, RandomState>);

impl Map for Papaya {
    const NAME: &'static str = "papaya";
    type Key = Id;

    fn with_room_for(relays: usize) -> Self {
        let map = papaya::HashMap::builder().capacity(relays);
        Self(map.hasher(RandomState::new()).build())
    }

    #[inline]
    fn insert(&self, id: Id) {
        self.0.pin().insert(id, Deadline::new());
    }

    #[inline]
    fn remove(&self, id: &Id) {
        self.0.pin().remove(id);
    }

    #[inline]
    fn holds(&self, id: &Id) -> bool {
        self.0.pin().get(id).is_some_and(|it| it.is_ahead())
    }
}

pub struct DashMap(dashmap::DashMap<Id, Arc<Deadline>, RandomState>);

impl Map for DashMap {
    const NAME: &'static str = "dashmap";
    type Key = Id;

    fn with_room_for(relays: usize) -> Self {
        let hasher = RandomState::new();
        Self(dashmap::DashMap::with_capacity_and_hasher(relays, hasher))
    }

    #[inline]
    fn insert(&self, id: Id) {
        self.0.insert(id, Deadline::new());
    }

    #[inline]
    fn remove(&self, id: &Id) {
        self.0.remove(id);
    }

    #[inline]
    fn holds(&self, id: &Id) -> bool {
        self.0.get(id).is_some_and(|it| it.is_ahead())
    }
}

pub struct Scc(scc::HashMap<Id, Arc<Deadline>, RandomState>);

impl Map for Scc {
    const NAME: &'static str = "scc";
    type Key = Id;

    fn with_room_for(relays: usize) -> Self {
        let hasher = RandomState::new();
        Self(scc::HashMap::with_capacity_and_hasher(relays, hasher))
    }

    #[inline]
    fn insert(&self, id: Id) {
        self.0.upsert_sync(id, Deadline::new());
    }

    #[inline]
    fn remove(&self, id: &Id) {
        self.0.remove_sync(id);
    }

    #[inline]
    fn holds(&self, id: &Id) -> bool {
        self.0.read_sync(id, |_, it| it.is_ahead()) == Some(true)
    }
}

pub struct Flurry(flurry::HashMap<Id, Arc<Deadline>, RandomState>);

impl Map for Flurry {
    const NAME: &'static str = "flurry";
    type Key = Id;

    fn with_room_for(relays: usize) -> Self {
        let hasher = RandomState::new();
        Self(flurry::HashMap::with_capacity_and_hasher(relays, hasher))
    }

    #[inline]
    fn insert(&self, id: Id) {
        self.0.pin().insert(id, Deadline::new());
    }

    #[inline]
    fn remove(&self, id: &Id) {
        self.0.pin().remove(id);
    }

    #[inline]
    fn holds(&self, id: &Id) -> bool {
        self.0.pin().get(id).is_some_and(|it| it.is_ahead())
    }
}

/// A cache that expires its entries by itself.
pub struct Moka(moka::sync::Cache<Id, (), RandomState>);

impl Map for Moka {
    const NAME: &'static str = "moka, its own TTL";
    type Key = Id;

    fn with_room_for(relays: usize) -> Self {
        let cache = moka::sync::Cache::builder()
            .initial_capacity(relays)
            .max_capacity(relays as u64 * 2)
            .time_to_live(Duration::from_secs(600));
        Self(cache.build_with_hasher(RandomState::new()))
    }

    #[inline]
    fn insert(&self, id: Id) {
        self.0.insert(id, ());
    }

    #[inline]
    fn remove(&self, id: &Id) {
        self.0.invalidate(id);
    }

    #[inline]
    fn holds(&self, id: &Id) -> bool {
        self.0.get(id).is_some()
    }
}

pub struct Locked(RwLock<std::collections::HashMap<Id, Arc<Deadline>, RandomState>>);

impl Map for Locked {
    const NAME: &'static str = "RwLock<HashMap>";
    type Key = Id;

    fn with_room_for(relays: usize) -> Self {
        Self(RwLock::new(bare(relays)))
    }

    #[inline]
    fn insert(&self, id: Id) {
        self.0.write().unwrap().insert(id, Deadline::new());
    }

    #[inline]
    fn remove(&self, id: &Id) {
        self.0.write().unwrap().remove(id);
    }

    #[inline]
    fn holds(&self, id: &Id) -> bool {
        self.0
            .read()
            .unwrap()
            .get(id)
            .is_some_and(|it| it.is_ahead())
    }
}

/// A map for one thread.
pub struct Bare(std::collections::HashMap<Id, Arc<Deadline>, RandomState>);

impl Bare {
    pub const NAME: &'static str = "bare HashMap, one thread only";

    pub fn of(ids: &[Id]) -> Self {
        let mut map = bare(ids.len());
        map.extend(ids.iter().map(|&id| (id, Deadline::new())));
        Self(map)
    }

    #[inline]
    pub fn holds(&self, id: &Id) -> bool {
        self.0.get(id).is_some_and(|it| it.is_ahead())
    }
}

fn bare(relays: usize) -> std::collections::HashMap<Id, Arc<Deadline>, RandomState> {
    std::collections::HashMap::with_capacity_and_hasher(relays, RandomState::new())
}

pub fn random_ids(count: usize) -> Vec<Id> {
    let mut ids = vec![[0; 32]; count];
    ids.iter_mut().for_each(|id| fastrand::fill(id));
    ids
}
