//! What keeps a registry in order: expiry, sorting, reclamation.
//!
//! The maintenance thread and [`Registry::maintain`](crate::Registry::maintain)
//! make the same pass; [`maintain`](crate::Registry::maintain) reads the clock
//! first, which another thread does for the maintenance thread. Registrants do parts of it when there is nobody else to:
//! they sweep a full table, and merge arrivals that grow out of proportion.

use crate::coordinates::CoordinateMap;
use crate::registry::core::Core;
use crate::registry::stats::{Stats, add_one, get};
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, epoch};
use crate::table::record::{Lifecycle, State};
use crate::table::snapshot::{Backlog, MergedRelay, Merger};
use crate::table::{RecordRef, free_deferred};
use crate::time::{Tick, nanos};
use crate::wheel::Wheel;
use std::time::{Duration, Instant};

/// What one housekeeping pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Relays removed because their deadline had passed.
    pub expired: usize,
    /// Whether relays were sorted anew.
    pub sorted: bool,
    /// Departed relays whose memory still awaits reclamation.
    pub awaiting_reclamation: usize,
}

/// When a pass sorts relays anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sorting {
    /// Whenever anything changed.
    Eager,
    /// When anything changed, but for no more than a part of the time.
    Paced,
}

/// The part of its time that the maintenance thread sorts for is one in this.
const SORTING_SHARE: u32 = 8;

/// It rests no longer than this, also after a sort during which it was held up.
const LONGEST_REST: Duration = Duration::from_secs(2);

impl Core {
    /// One housekeeping pass by whoever raises the tick as well.
    pub(super) fn maintain(&self) -> MaintenanceReport {
        let now = self.timeline.advance();
        self.run_maintenance(now.tick, Sorting::Eager)
    }

    /// One housekeeping pass, which does not read the clock.
    pub(super) fn run_maintenance(&self, now: Tick, sorting: Sorting) -> MaintenanceReport {
        let expired = self.sweep(&mut self.wheel.lock(), now);
        // All of them, so that few are left for finds to do it.
        self.table
            .wake_due(&self.publication().load(), now, usize::MAX);
        if self.publication().context.outage.take_rest() {
            self.table.end_outage();
        }
        let is_time = sorting == Sorting::Eager
            || self.last_sort.may_sort_again()
            || self.backlog() == Backlog::Overdue;
        self.apply_measurements();
        let sorted = is_time && self.sort();
        self.table.reclaim();
        free_deferred();
        add_one(&self.counters.passes);
        MaintenanceReport {
            expired,
            sorted,
            awaiting_reclamation: self.table.awaiting_reclamation(),
        }
    }

    /// Makes all that is due at `tick` depart; how many did.
    pub(super) fn sweep(&self, wheel: &mut Wheel, tick: Tick) -> usize {
        // A keeper that was held up goes on from where others have got to.
        let tick = tick.max(wheel.now());
        let none_in_flight = self.none_in_flight();
        let mut expired = 0;
        self.take_in(wheel, tick, &mut expired);
        wheel.advance(tick, |index| self.visit(index, tick, &mut expired));
        self.forget_longest_gone(tick);
        if none_in_flight {
            self.note_swept(tick);
        }
        expired
    }

    /// When the wheel should look at this record again, if at all.
    pub(super) fn visit(&self, index: u32, tick: Tick, expired: &mut usize) -> Option<Tick> {
        let guard = epoch::pin();
        loop {
            let record = self.table.record_at(index, &guard)?;
            let word = record.lifecycle();
            match word.state() {
                State::Live if word.deadline() > tick => {
                    return Some(self.next_visit(&record, word, tick));
                }
                State::Pending | State::Returning if word.deadline() > tick => {
                    return Some(word.deadline());
                }
                State::Live => {
                    if self.expire(record, word) {
                        *expired += 1;
                    }
                }
                State::Pending | State::Returning => {
                    // Due before its registrant has said whether it lives; which is
                    // in flight, so the next sweep looks again.
                    self.table.announce_to_wheel(&record);
                    return None;
                }
                State::Gone => return self.review_gone(record, tick, true),
                // The thread that has it announces it once it is gone.
                State::Departing | State::Closing | State::Vacant => return None,
            }
        }
    }

    /// When the record is due, or what was measured lapses; what has lapsed is forgotten.
    fn next_visit(&self, record: &RecordRef<'_>, word: Lifecycle, tick: Tick) -> Tick {
        if record.has_lapsed(tick) {
            record.refresh_rtt(tick);
        }
        let lapse = record.lapse(tick).unwrap_or(word.deadline());
        lapse.min(word.deadline())
    }

    /// Frees the places of relays that are past their deadline, at least one
    /// if there is any.
    pub(super) fn make_room(&self, tick: Tick) {
        if self.swept() >= tick {
            return;
        }
        if let Some(mut wheel) = self.wheel.try_lock() {
            self.sweep(&mut wheel, tick);
        }
        if self.swept() < tick {
            // Somebody is sweeping, or has yet to tell the wheel of a deadline:
            // free one place beside them.
            self.expire_any(tick);
        }
    }

    /// Goes on where the last search found one: while many are due, the next is
    /// near.
    fn expire_any(&self, tick: Tick) {
        let guard = epoch::pin();
        let reach = self.table.reach();
        let start = self.search_start.load(Ordering::Relaxed).min(reach);
        let found = (start..reach).chain(0..start).find(|&index| {
            self.table.record_at(index, &guard).is_some_and(|record| {
                let word = record.lifecycle();
                word.is_live() && !word.is_live_at(tick) && self.expire(record, word)
            })
        });
        self.search_start
            .store(found.unwrap_or(0), Ordering::Relaxed);
    }

    fn backlog(&self) -> Backlog {
        self.publication().backlog(self.table.estimate())
    }

    /// After an arrival: has the arrivals merged when they are many. Returns
    /// whether the maintenance thread should look at them now.
    pub(super) fn merge_if_due(&self) -> bool {
        let has_maintenance_thread = self.settings.has_maintenance_thread;
        self.drain_occasionally();
        match self.backlog() {
            Backlog::Light => false,
            Backlog::Due | Backlog::Heavy if has_maintenance_thread => {
                self.last_sort.may_sort_again()
            }
            Backlog::Due => false,
            Backlog::Heavy | Backlog::Overdue => {
                self.try_sort();
                false
            }
        }
    }

    /// Sorts all relays anew, if anything changed.
    pub(super) fn sort(&self) -> bool {
        let mut merger = self.publication().merger();
        let is_stale = self.publication().wants_merge()
            || self.counters.departures() != self.last_sort.departures();
        if is_stale {
            let map = self.coordinates.if_enabled().map(Mutex::lock);
            self.merge(&mut merger, map);
        }
        is_stale
    }

    /// The same, unless somebody else is at it, or at the map.
    fn try_sort(&self) {
        let Some(mut merger) = self.publication().try_merger() else {
            return;
        };
        match self.coordinates.if_enabled().map(Mutex::try_lock) {
            None => self.merge(&mut merger, None),
            Some(Some(map)) => self.merge(&mut merger, Some(map)),
            Some(None) => {}
        }
    }

    fn merge(&self, merger: &mut Merger, map: Option<MutexGuard<'_, CoordinateMap>>) {
        let begun = Instant::now();
        let elapsed_nanos = self.timeline.elapsed_nanos();
        let departures = self.counters.departures();
        let assumed_rtt_micros = self.settings.assumed_rtt_micros;
        // With the describe the map is unlocked, before anything is sorted.
        self.table
            .merge(merger, &epoch::pin(), move |relay, record| {
                // What is past its deadline stays until it departs: another thread may
                // be renewing it.
                let stays = matches!(
                    record.lifecycle().state(),
                    State::Pending | State::Live | State::Returning
                );
                stays.then(|| MergedRelay {
                    // Of this life, even if the record has ended it by now.
                    relay,
                    own_micros: record.rtt_micros().unwrap_or(assumed_rtt_micros),
                    position: map
                        .as_ref()
                        .and_then(|map| map.position(&record.identity()).copied()),
                })
            });
        self.last_sort.note(departures, elapsed_nanos, begun);
    }

    pub(super) fn stats(&self) -> Stats {
        let now = self.present();
        let totals = self.counters.totals();
        let snapshot = self.publication().load();
        let sorted_at = Duration::from_nanos(self.last_sort.elapsed_nanos());
        Stats {
            registrations: totals.registrations,
            renewals: totals.renewals,
            unregistrations: totals.unregistrations,
            expirations: totals.expirations,
            refused: totals.refused,
            relays: self.relay_count(now),
            remembered: self.table.remembered(),
            leases: self.table.leases(),
            awaiting_reclamation: self.table.awaiting_reclamation(),
            snapshot_age: self.timeline.elapsed().saturating_sub(sorted_at),
            snapshot_len: snapshot.base.len(),
            arrivals: snapshot.arrivals(),
            wheel_len: self.wheel.lock().len(),
            maintenance_passes: get(&self.counters.passes),
            maintenance_panics: get(&self.counters.panics),
            #[cfg(feature = "dht")]
            dht: None,
        }
    }
}

/// The last time that relays were sorted.
#[derive(Debug)]
pub(crate) struct LastSort {
    departures: AtomicU64,
    elapsed_nanos: AtomicU64,
    /// Nanoseconds of real time from `origin` until a paced pass may sort again.
    next_at: AtomicU64,
    origin: Instant,
}

impl LastSort {
    pub(super) fn new() -> Self {
        Self {
            departures: AtomicU64::default(),
            elapsed_nanos: AtomicU64::default(),
            next_at: AtomicU64::default(),
            origin: Instant::now(),
        }
    }

    /// The departures that the base takes into account.
    fn departures(&self) -> u64 {
        get(&self.departures)
    }

    /// When it was, in the registry's time.
    fn elapsed_nanos(&self) -> u64 {
        get(&self.elapsed_nanos)
    }

    /// Whether it was long enough ago for a paced pass to sort again.
    fn may_sort_again(&self) -> bool {
        nanos(self.origin.elapsed()) >= get(&self.next_at)
    }

    /// Only for whoever holds the merger.
    fn note(&self, departures: u64, elapsed_nanos: u64, begun: Instant) {
        let rest = begun.elapsed() * (SORTING_SHARE - 1);
        let next_at = self.origin.elapsed() + rest.min(LONGEST_REST);
        // Relaxed: these pace the work and order nothing.
        self.departures.store(departures, Ordering::Relaxed);
        self.elapsed_nanos.store(elapsed_nanos, Ordering::Relaxed);
        self.next_at.store(nanos(next_at), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use crate::registry::{Maintenance, Registry};
    use crate::relay::{NodeId, RegisterOptions};
    use crate::sync::epoch;
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    const RELAYS: u32 = 2_000;
    /// The most that one call may give back.
    const PIECE: usize = 64;

    fn id(n: u32) -> NodeId {
        NodeId::from_bytes(&n.to_be_bytes()).unwrap()
    }

    /// Runs `act` while another thread is stalled in the middle of a call.
    fn beside_a_stalled_thread(act: impl FnOnce()) {
        let (stalls, is_stalled) = channel();
        let (release, is_released) = channel::<()>();
        let stalled = thread::spawn(move || {
            let _guard = epoch::pin();
            stalls.send(()).unwrap();
            let _ = is_released.recv(); // an error, once the other end is dropped
        });
        is_stalled.recv().unwrap();
        act();
        drop(release);
        stalled.join().unwrap();
    }

    /// However many relays left meanwhile: no find pays for their memory, and any other
    /// call for a piece of it.
    #[test]
    fn once_a_stalled_thread_goes_on_no_call_pays_for_more_than_a_piece() {
        let registry = Registry::builder()
            .max_relays(RELAYS as usize)
            .maintenance(Maintenance::Manual)
            .build()
            .unwrap();
        let label: Arc<str> = Arc::from("a domain");
        let endpoint = SocketAddr::from(([192, 0, 2, 1], 4433));
        let options = RegisterOptions::new().failure_domain(Arc::clone(&label));
        let others = 2;
        beside_a_stalled_thread(|| {
            for n in 1..RELAYS {
                registry.register_with(id(n), endpoint, &options).unwrap();
            }
            registry.register(id(0), endpoint).unwrap();
            (1..RELAYS).for_each(|n| assert!(registry.unregister(&id(n))));
            registry.maintain();
            assert_eq!(Arc::strong_count(&label), RELAYS as usize - 1 + others);
        });
        let held = || Arc::strong_count(&label);
        for n in 1..RELAYS {
            if n % 100 == 0 {
                // Begins a round with what is left, unless one is under way.
                registry.unregister(&id(n - 1));
            }
            let before = held();
            assert!(registry.find_relay(&id(RELAYS)).is_ok());
            assert_eq!(held(), before, "by a find");
            registry.register(id(n), endpoint).unwrap();
            assert!(
                before - held() <= PIECE,
                "{} by a registration",
                before - held()
            );
        }
        assert!(held() < RELAYS as usize / 2, "given back as relays come");
    }
}
