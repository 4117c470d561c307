//! What peers told of their round trips, by the id of the peer.
//!
//! A find reads a view without a lock, at the price of a look-up: see [`word_map`]. A change
//! takes the lock of [`ages`], which has the order of the updates: the bound on the number of
//! views is strict, and the oldest is forgotten first. A view counts up to its tick, whether or
//! not it was removed by then. Memory is taken when the first view is remembered, and used as
//! views come.

mod ages;
#[cfg(all(test, relay_loom))]
mod models;
mod packing;
mod word_map;

use crate::footprint::Footprint;
use crate::relay::NodeId;
use crate::select::PeerView;
use crate::sync::{AtomicU32, Mutex, OnceBox, Ordering, random_hasher};
use crate::time::Tick;
use ages::Ages;
use packing::{ID_WORDS, TICK_WORDS, VIEW_WORDS};
use word_map::WordMap;

/// The remembered views of one registry.
pub(crate) struct Peers {
    max: usize,
    ttl_nanos: u64,
    /// How many there are, with those that have expired and were not removed yet.
    count: AtomicU32,
    views: OnceBox<Views>,
    hasher: ahash::RandomState,
}

struct Views {
    map: WordMap<ID_WORDS, VIEW_WORDS>,
    /// All changes of the map are made under this lock.
    ages: Mutex<Ages>,
}

/// An update removes at most so many views that have expired.
const REMOVED_BY_UPDATE: usize = 2;
/// A maintenance pass removes so many at most under one lock.
const REMOVED_AT_ONCE: usize = 256;

impl Peers {
    /// At most `max` views, each of which counts for `ttl_nanos`.
    pub(super) fn new(max: usize, ttl_nanos: u64) -> Self {
        Self {
            max,
            ttl_nanos,
            count: AtomicU32::default(),
            views: OnceBox::new(),
            hasher: random_hasher(),
        }
    }

    pub(super) fn ttl_nanos(&self) -> u64 {
        self.ttl_nanos
    }

    pub(super) fn footprint(&self) -> Footprint {
        let Some(views) = self.views.get() else {
            return Footprint::default();
        };
        let ages = views.ages.lock();
        Footprint::of::<Views>() + ages.footprint() + views.map.footprint(ages.used())
    }

    /// Whether any view may be remembered.
    #[inline(always)]
    pub(super) fn are_any(&self) -> bool {
        // Relaxed: a call that begins after an update has returned sees what that update
        // stored. Any other call may miss the view.
        self.count.load(Ordering::Relaxed) != 0
    }

    /// Whether the view of a peer is remembered.
    #[inline(always)]
    pub(super) fn knows(&self, peer: &NodeId, now: Tick) -> bool {
        self.are_any() && self.has_view_of(peer, now)
    }

    #[inline(never)]
    fn has_view_of(&self, peer: &NodeId, now: Tick) -> bool {
        self.find::<TICK_WORDS>(peer, now).is_some()
    }

    /// The view of a peer, if it is remembered.
    pub(super) fn view_of(&self, peer: &NodeId, now: Tick) -> Option<PeerView> {
        if !self.are_any() {
            return None;
        }
        let words = self.find::<VIEW_WORDS>(peer, now)?;
        Some(packing::unpack_view(&words))
    }

    /// The first words of a view that counts at `now`.
    fn find<const WORDS: usize>(&self, peer: &NodeId, now: Tick) -> Option<[u64; WORDS]> {
        let map = &self.views.get()?.map;
        let words = map.get(self.hash(peer), &packing::pack_id(peer))?;
        (now < packing::until(&words)).then_some(words)
    }

    /// Remembers the view of a peer up to the tick `until`, in place of an earlier one. If the
    /// system has no memory for any views, it is not remembered.
    pub(super) fn remember(&self, peer: &NodeId, view: &PeerView, until: Tick, now: Tick) {
        if self.max == 0 {
            return;
        }
        let Some(views) = self.views.get_or_try_init(|| Views::new(self.max)) else {
            return;
        };
        let (hash, key) = (self.hash(peer), packing::pack_id(peer));
        let value = packing::pack_view(view, until);
        let mut ages = views.ages.lock();
        views.remove_expired(&mut ages, now, REMOVED_BY_UPDATE);
        let place = views.map.locate(hash, &key);
        if place.index.is_none() && ages.len() >= self.max {
            views.remove_oldest(&mut ages);
        }
        // Once more: the entry that was removed may have been the one that led here.
        let place = views.map.locate(hash, &key);
        let free = ages.take_free();
        views.map.put(place, free, hash, &key, &value);
        if let Some(replaced) = place.index {
            ages.remove(replaced);
        }
        ages.push_newest(free);
        self.set_count(&ages);
    }

    /// The peers whose views are remembered, the oldest view first.
    #[cfg(feature = "persistence")]
    pub(super) fn oldest_first(&self) -> Vec<NodeId> {
        let Some(views) = self.views.get() else {
            return Vec::new();
        };
        let ages = views.ages.lock();
        let ids = ages
            .oldest_first()
            .filter_map(|entry| packing::unpack_id(&views.map.key(entry).1));
        ids.collect()
    }

    /// The view of a peer, if it is remembered, and until when.
    #[cfg(feature = "persistence")]
    pub(super) fn view_until(&self, peer: &NodeId, now: Tick) -> Option<(PeerView, Tick)> {
        let words = self.find::<VIEW_WORDS>(peer, now)?;
        Some((packing::unpack_view(&words), packing::until(&words)))
    }

    /// Forgets the view of a peer; whether it counted at `now`.
    pub(super) fn forget(&self, peer: &NodeId, now: Tick) -> bool {
        let Some(views) = self.views.get() else {
            return false;
        };
        let (hash, key) = (self.hash(peer), packing::pack_id(peer));
        let mut ages = views.ages.lock();
        let place = views.map.locate(hash, &key);
        let Some(index) = place.index else {
            return false;
        };
        let counted = now < views.until(index);
        views.map.remove(place, index);
        ages.remove(index);
        self.set_count(&ages);
        counted
    }

    /// Removes the views that have expired.
    pub(super) fn remove_expired(&self, now: Tick) {
        if !self.are_any() {
            return;
        }
        let Some(views) = self.views.get() else {
            return;
        };
        loop {
            let mut ages = views.ages.lock();
            let removed = views.remove_expired(&mut ages, now, REMOVED_AT_ONCE);
            self.set_count(&ages);
            if removed < REMOVED_AT_ONCE {
                return;
            }
        }
    }

    fn set_count(&self, ages: &Ages) {
        // Relaxed: see `are_any`. The lock orders the stores.
        self.count.store(ages.len() as u32, Ordering::Relaxed);
    }

    fn hash(&self, peer: &NodeId) -> u64 {
        peer.keyed_hash(&self.hasher)
    }
}

impl Views {
    /// `None` if there is not enough memory.
    fn new(max: usize) -> Option<Self> {
        let entries = max + ages::SPARE;
        Some(Self {
            map: WordMap::new(max, entries)?,
            ages: Mutex::new(Ages::new(entries)),
        })
    }

    fn until(&self, index: u32) -> Tick {
        packing::until(&self.map.value::<TICK_WORDS>(index))
    }

    /// Removes up to so many views that have expired; how many.
    fn remove_expired(&self, ages: &mut Ages, now: Tick, most: usize) -> usize {
        // All have the same lifetime, so the oldest expires first.
        let has_expired = |oldest| self.until(oldest) <= now;
        let mut removed = 0;
        while removed < most && ages.oldest().is_some_and(has_expired) {
            self.remove_oldest(ages);
            removed += 1;
        }
        removed
    }

    fn remove_oldest(&self, ages: &mut Ages) {
        if let Some(oldest) = ages.oldest() {
            let (hash, key) = self.map.key(oldest);
            self.map.remove(self.map.locate(hash, &key), oldest);
            ages.remove(oldest);
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use std::time::Duration;

    fn id(n: u32) -> NodeId {
        NodeId::from_bytes(&n.to_be_bytes()).unwrap()
    }

    fn view(n: u32) -> PeerView {
        let rtt = Duration::from_micros(u64::from(n) + 1);
        PeerView::new().measured(id(n), rtt).unwrap()
    }

    fn known(peers: &Peers, range: std::ops::Range<u32>, now: u64) -> Vec<u32> {
        let range = range.inspect(|&n| {
            let view_of = peers.view_of(&id(n), Tick(now));
            assert_eq!(view_of.is_some(), peers.knows(&id(n), Tick(now)));
            assert!(view_of.is_none_or(|found| found == view(n)));
        });
        range.filter(|&n| peers.knows(&id(n), Tick(now))).collect()
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_an_update_makes_new() {
        let peers = Peers::new(3, 1);
        assert!(!peers.are_any());
        for n in 0..3 {
            peers.remember(&id(n), &view(n), Tick(100), Tick(0));
        }
        assert_eq!(known(&peers, 0..9, 0), [0, 1, 2]);
        peers.remember(&id(0), &view(0), Tick(100), Tick(0));
        peers.remember(&id(3), &view(3), Tick(100), Tick(0));
        assert_eq!(known(&peers, 0..9, 0), [0, 2, 3]);
        peers.remember(&id(4), &view(4), Tick(100), Tick(0));
        assert_eq!(known(&peers, 0..9, 0), [0, 3, 4]);
        assert!(peers.forget(&id(3), Tick(0)) && !peers.forget(&id(3), Tick(0)));
        peers.remember(&id(5), &view(5), Tick(100), Tick(0));
        assert_eq!(known(&peers, 0..9, 0), [0, 4, 5]);
    }

    #[test]
    fn what_has_expired_counts_at_once_and_is_removed_later() {
        let peers = Peers::new(1_000, 1);
        for n in 0..1_000 {
            peers.remember(&id(n), &view(n), Tick(u64::from(n / 100) + 1), Tick(0));
        }
        assert_eq!(known(&peers, 0..1_000, 3).len(), 700);
        assert!(!peers.forget(&id(5), Tick(3)), "it was known no longer");
        peers.remove_expired(Tick(3));
        assert_eq!(peers.count.load(Ordering::Relaxed), 700);
        assert_eq!(known(&peers, 0..1_000, 3).len(), 700);
        peers.remember(&id(5_000), &view(5_000), Tick(20), Tick(10));
        assert_eq!(peers.count.load(Ordering::Relaxed), 699);
        peers.remove_expired(Tick(20));
        assert!(!peers.are_any());
    }

    /// Against a plain map with the same rules.
    #[test]
    fn it_agrees_with_a_plain_map() {
        const MAX: usize = 50;
        let mut rng = fastrand::Rng::with_seed(7);
        let (peers, mut plain) = (Peers::new(MAX, 1), Vec::<(u32, u64)>::new());
        for now in 0..20_000 {
            let n = rng.u32(0..80);
            match rng.u32(0..10) {
                0 => {
                    let was_known = plain.iter().any(|&(m, until)| m == n && until > now);
                    assert_eq!(peers.forget(&id(n), Tick(now)), was_known);
                    plain.retain(|&(m, _)| m != n);
                }
                1 => peers.remove_expired(Tick(now)),
                _ => {
                    peers.remember(&id(n), &view(n), Tick(now + 60), Tick(now));
                    plain.retain(|&(m, until)| m != n && until > now);
                    if plain.len() == MAX {
                        plain.remove(0);
                    }
                    plain.push((n, now + 60));
                }
            }
            let mut expected: Vec<u32> = plain
                .iter()
                .filter(|&&(_, until)| until > now)
                .map(|&(n, _)| n)
                .collect();
            expected.sort_unstable();
            assert_eq!(known(&peers, 0..80, now), expected, "at {now}");
        }
    }

    #[test]
    fn memory_is_used_as_views_come_and_used_again() {
        let peers = Peers::new(1_000_000, 1);
        for round in 0..1_000 {
            peers.remember(&id(round % 3), &view(round % 3), Tick(u64::MAX), Tick(0));
        }
        let views = peers.views.get().unwrap();
        assert!(views.ages.lock().used() <= 3 + ages::SPARE + 1);
    }

    /// Readers beside a writer that replaces views and removes those in the same bucket.
    #[test]
    fn a_reader_finds_a_view_that_is_there_throughout_and_never_parts_of_two() {
        let peers = Peers::new(4, 1);
        let is_over = std::sync::atomic::AtomicBool::new(false);
        peers.remember(&id(0), &view(1), Tick(u64::MAX), Tick(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let found = peers.view_of(&id(0), Tick(0)).expect("it is there");
                        let pairs: Vec<_> = found.pairs().map(|(id, rtt)| (*id, rtt)).collect();
                        let [(relay, micros)] = pairs[..] else {
                            panic!("parts of two: {found:?}");
                        };
                        assert_eq!(relay, id(micros - 1));
                    }
                });
            }
            for n in 0..200_000 {
                peers.remember(&id(0), &view(n % 7), Tick(u64::MAX), Tick(0));
                peers.remember(&id(1 + n % 20), &view(n), Tick(u64::MAX), Tick(0));
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}
