//! What all handles of one registry share.

use crate::registry::circuit_history::CircuitHistory;
use crate::registry::coordinates::Coordinates;
use crate::registry::dht_bridge::DhtLink;
use crate::registry::maintenance::LastSort;
use crate::registry::probe_schedule::ProbeSchedule;
use crate::registry::returning::GoneQueue;
use crate::registry::stats::Counters;
use crate::relay::{AddressPolicy, NodeId, RelayInfo};
use crate::select::Candidate;
use crate::sync::epoch::{self, Guard};
use crate::sync::{Arc, AtomicU32, AtomicU64, Mutex, Ordering, Padded};
use crate::table::record::{BackOffRange, Circuit, Lifecycle};
use crate::table::snapshot::Publication;
use crate::table::{RecordRef, Table};
use crate::time::{Tick, Timeline};
use crate::wheel::Wheel;
use std::cmp::Reverse;
use std::fmt;
use std::time::Duration;

/// The rooms that the operations of a registry go through.
pub(crate) struct Core {
    pub(super) settings: Settings,
    pub(super) timeline: Arc<Timeline>,
    pub(super) table: Table,
    pub(super) wheel: Mutex<Wheel>,
    /// Records of relays that are gone, those that went first in front; for the thread
    /// that has the wheel.
    pub(super) gone_queue: Mutex<GoneQueue>,
    pub(super) circuit_history: CircuitHistory,
    pub(super) coordinates: Coordinates,
    pub(super) probes: ProbeSchedule,
    pub(super) counters: Counters,
    pub(super) last_sort: LastSort,
    /// To the DHT that publishes this node's relay and learns of others.
    pub(super) link: DhtLink,
    /// All that was due at this tick has departed.
    swept: Padded<AtomicU64>,
    /// Registrations under way whose deadline the wheel may not have heard of.
    in_flight: Padded<AtomicU32>,
    /// Where the next search for an expired relay begins.
    pub(super) search_start: AtomicU32,
    pub(super) resets: ResetCounts,
}

/// Keeps sweeps from being declared complete while a deadline is on its way to
/// the wheel.
pub(super) struct InFlight<'a>(&'a AtomicU32);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        // AcqRel: the wheel has been told by now.
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How the registry was built.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(super) ttl: Duration,
    pub(super) tick: Duration,
    pub(super) local_id: Option<NodeId>,
    pub(super) address_policy: AddressPolicy,
    pub(super) assumed_rtt_micros: u32,
    pub(super) rtt_lifetime: Duration,
    /// A share: beyond it, failures are taken for an outage of our own.
    pub(super) max_ejected_share: f64,
    /// How long relays are left alone after failures.
    pub(super) back_off_range: BackOffRange,
    /// For how long a relay that is gone is remembered; else for its TTL.
    pub(super) return_grace_nanos: Option<u64>,
    /// Whether a thread of our own does the housekeeping.
    pub(super) has_maintenance_thread: bool,
}

/// How often something was said of all relays at once.
///
/// A relay that is about to be admitted in another record takes over what was known of it
/// before. The thread that admits it reads before that how many times had ended, and after
/// the relay is admitted how many have begun: unless these are as many, what was said is said
/// of this relay, too. A thread that says something of all relays counts that as begun, visits
/// all records, and counts it as ended. To count as begun, and to read how many have, are
/// read-modify-writes: either the one sees the count, or the other sees the record.
#[derive(Debug, Default)]
pub(crate) struct ResetCounts {
    circuits: ResetCount,
    rtts: ResetCount,
}

#[derive(Debug, Default)]
struct ResetCount {
    begun: AtomicU32,
    ended: AtomicU32,
}

/// A reading of those.
#[derive(Clone, Copy)]
pub(super) struct Resets {
    pub(super) circuits: u32,
    pub(super) rtts: u32,
}

impl ResetCounts {
    /// Those that have ended, for the thread that is about to take over what is known of a
    /// relay.
    pub(super) fn ended(&self) -> Resets {
        // Acquire: what they reset is taken over as it is since.
        Resets {
            circuits: self.circuits.ended.load(Ordering::Acquire),
            rtts: self.rtts.ended.load(Ordering::Acquire),
        }
    }

    /// Those that have begun, for the thread that has admitted it.
    pub(super) fn begun(&self) -> Resets {
        // AcqRel: see above.
        Resets {
            circuits: self.circuits.begun.fetch_add(0, Ordering::AcqRel),
            rtts: self.rtts.begun.fetch_add(0, Ordering::AcqRel),
        }
    }

    /// Resets all circuits by what `reset` does.
    pub(super) fn of_circuits(&self, reset: impl FnOnce()) {
        self.circuits.during(reset);
    }

    /// Forgets all round trips by what `forget` does.
    pub(super) fn of_rtts(&self, forget: impl FnOnce()) {
        self.rtts.during(forget);
    }
}

impl ResetCount {
    fn during(&self, visit: impl FnOnce()) {
        // AcqRel: see above.
        self.begun.fetch_add(1, Ordering::AcqRel);
        visit();
        // Release: see `ended`.
        self.ended.fetch_add(1, Ordering::Release);
    }
}

/// How many records are visited under one pin.
const PER_PIN: u32 = 1024;

impl Core {
    pub(super) fn new(
        settings: Settings,
        timeline: Arc<Timeline>,
        table: Table,
        circuit_history: CircuitHistory,
        link: DhtLink,
    ) -> Self {
        Self {
            settings,
            timeline,
            table,
            wheel: Mutex::new(Wheel::new()),
            gone_queue: Mutex::default(),
            circuit_history,
            coordinates: Coordinates::default(),
            probes: ProbeSchedule::default(),
            counters: Counters::default(),
            last_sort: LastSort::new(),
            link,
            swept: Padded(AtomicU64::default()),
            in_flight: Padded(AtomicU32::default()),
            search_start: AtomicU32::default(),
            resets: ResetCounts::default(),
        }
    }

    /// The tick that a call goes by. Each public call asks for it once, before it
    /// pins the epoch or takes a lock, and passes it on: this may read the clock, which
    /// is the embedder's code.
    #[inline]
    pub(super) fn present(&self) -> Tick {
        self.timeline.present()
    }

    /// The order in which searches go through the relays.
    pub(super) fn publication(&self) -> &Publication {
        self.table.publication()
    }

    /// The tick up to which everything due has departed.
    pub(super) fn swept(&self) -> Tick {
        // Acquire: those departures are seen, too.
        Tick(self.swept.load(Ordering::Acquire))
    }

    /// To be held from before the tick is read for a deadline until the wheel
    /// was told of it.
    pub(super) fn in_flight(&self) -> InFlight<'_> {
        // AcqRel: see `none_in_flight`.
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlight(&self.in_flight)
    }

    /// Whether the wheel will be told by now of every deadline up to the
    /// current tick: a registration that begins later sees that tick.
    pub(super) fn none_in_flight(&self) -> bool {
        // A read-modify-write, so that it and each registration's are in one
        // order: those before are over, those after see what we did before.
        self.in_flight.fetch_add(0, Ordering::AcqRel) == 0
    }

    pub(super) fn note_swept(&self, tick: Tick) {
        // Release: see `swept`.
        self.swept.fetch_max(tick.0, Ordering::Release);
    }

    /// The record of `id`, if it is live at `now`, and its lifecycle word.
    #[inline]
    pub(super) fn find_live<'g>(
        &'g self,
        id: &NodeId,
        now: Tick,
        guard: &'g Guard,
    ) -> Option<(RecordRef<'g>, Lifecycle)> {
        let record = self.table.find(id, guard)?;
        let word = record.lifecycle();
        word.is_live_at(now).then_some((record, word))
    }

    /// Whether a relay is live at `now`.
    #[inline]
    pub(super) fn is_live(&self, id: &NodeId, now: Tick) -> bool {
        self.table.holds(id, |word| word.is_live_at(now))
    }

    #[inline(never)]
    pub(super) fn is_live_at_present(&self, id: &NodeId) -> bool {
        self.is_live(id, self.present())
    }

    /// Does something with the record of `id`; false if it is not live at `now`.
    #[inline]
    pub(super) fn with_live(
        &self,
        id: &NodeId,
        now: Tick,
        act: impl FnOnce(RecordRef<'_>),
    ) -> bool {
        let guard = epoch::pin();
        self.find_live(id, now, &guard)
            .map(|(record, _)| act(record))
            .is_some()
    }

    /// Visits every record that is live at `now` and throughout the visit, and none
    /// that never was, without staying pinned for long.
    pub(super) fn for_each_live(&self, now: Tick, mut visit: impl FnMut(RecordRef<'_>, Lifecycle)) {
        self.for_each_known(|record, word| {
            if word.is_live_at(now) {
                visit(record, word);
            }
        });
    }

    /// The same for every record that is not vacant.
    pub(super) fn for_each_known(&self, mut visit: impl FnMut(RecordRef<'_>, Lifecycle)) {
        let reach = self.table.reach();
        for start in (0..reach).step_by(PER_PIN as usize) {
            let guard = epoch::pin();
            for index in start..reach.min(start + PER_PIN) {
                if let Some(record) = self.table.record_at(index, &guard) {
                    visit(record, record.lifecycle());
                }
            }
        }
    }

    /// How many relays are live at `now`.
    pub(super) fn relay_count(&self, now: Tick) -> usize {
        let swept = self.swept() >= now;
        if let Some(count) = swept.then(|| self.table.count(&epoch::pin())).flatten() {
            return count;
        }
        // Some that are counted may be due or departing: look at each.
        let before = self.publication().progress();
        let mut count = 0;
        self.for_each_live(now, |_, _| count += 1);
        if self.publication().progress() == before {
            return count;
        }
        self.relays(now).len().min(self.table.max_relays())
    }

    pub(super) fn relays(&self, now: Tick) -> Vec<RelayInfo> {
        let before = self.publication().progress();
        let mut relays = Vec::with_capacity(self.table.estimate());
        let mut list = |record: RecordRef<'_>, word| relays.push(self.describe(&record, word, now));
        self.for_each_live(now, &mut list);
        if self.publication().progress() != before {
            keep_latest_of_each_id(&mut relays);
        }
        relays
    }

    /// A copy of what `word`, read from the record, and the record say at `now`.
    #[inline(always)]
    pub(super) fn describe(&self, record: &RecordRef<'_>, word: Lifecycle, now: Tick) -> RelayInfo {
        self.describe_as(record, word, record.circuit(), false, now)
    }

    #[inline(always)]
    pub(super) fn describe_candidate(&self, candidate: &Candidate<'_>, now: Tick) -> RelayInfo {
        let (record, circuit) = (&candidate.record, candidate.circuit);
        let is_last_resort = candidate.is_last_resort;
        self.describe_as(record, candidate.worth.word, circuit, is_last_resort, now)
    }

    /// Inlined, so that it is written where the caller wants it.
    #[inline(always)]
    fn describe_as(
        &self,
        record: &RecordRef<'_>,
        word: Lifecycle,
        circuit: Circuit,
        last_resort: bool,
        now: Tick,
    ) -> RelayInfo {
        let announcement = record.announcement(word);
        let load = record.load();
        let elapsed_nanos = self.timeline.nanos_of(now);
        let measurement = record.measurement(elapsed_nanos);
        RelayInfo {
            node_id: record.identity(),
            endpoint: announcement.endpoint.clone(),
            capacity: announcement.capacity,
            current_load: load.total(),
            rtt_micros: measurement.map(|it| it.micros),
            rtt_age_nanos: measurement.map_or(0, |it| it.latest.age(elapsed_nanos)),
            origin: self.timeline.wall_origin(),
            registered_at: announcement.registered_at,
            expires_at: self.timeline.nanos_of(word.deadline()),
            nat: announcement.nat,
            draining: load.is_draining(),
            banned: circuit.is_banned(now),
            circuit: circuit.public_state(now),
            last_resort,
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("settings", &self.settings)
            .field("timeline", &self.timeline)
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

/// A relay that left and came back while all were visited may be seen twice.
fn keep_latest_of_each_id(relays: &mut Vec<RelayInfo>) {
    relays.sort_by_key(|relay| (relay.node_id, Reverse(relay.registered_at)));
    relays.dedup_by_key(|relay| relay.node_id);
}
