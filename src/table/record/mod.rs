//! The shared record of one relay: its identity and the atomics that change.
//!
//! A record is two cache lines. The first both identifies and decides: it is
//! all that a look-up, a selection or a reservation reads. The second, its
//! [`Extra`], is for long identities and bookkeeping, and lies elsewhere, so that
//! the first ones lie close to each other.
//!
//! ```text
//! record: identity[0..32] | lifecycle | load | circuit | generation, length | rtt
//! extra:  RTT window | identity[32..64] | inbox link | number of arrival
//! ```
//!
//! # The states of a record
//!
//! A *tenure* is the time for which one id is in the record, from the slab to the slab. The
//! *generation* is raised each time that the relay departs or its entry is withdrawn, so a
//! tenure has one or several. The memory of records stays allocated while the table exists.
//! A tenure goes:
//!
//! 1. *private*: a registering thread took the record from the slab, and alone writes it;
//! 2. *staged*: the record enters its bucket, a run of arrivals and the wheel's inbox, but
//!    no look-up or search accepts it;
//! 3. *live*: a compare-and-swap of the lifecycle from staged to live admitted it;
//! 4. *departing*: the compare-and-swap that takes the deadline away decides which thread
//!    closes the record: counts it out, closes the load word, raises the generation;
//! 5. *closing*: one thread decides what becomes of the record;
//! 6. *gone*: the relay may come back: the record is *returning*, then live again;
//! 7. *vacant*: the record was forgotten: it is out of its bucket, and retired;
//! 8. *unreachable*: every thread that was pinned at that time has unpinned, so only leases
//!    refer to the record. It is freed to the slab once it has none.
//!
//! # Invariants
//!
//! - **Identity** is written only while the record is private. A thread that is pinned and
//!   found the record through its bucket, or through a handle whose generation matches,
//!   reads one id until it unpins: the record leaves the bucket, and the generation of a live
//!   relay is raised, before the record is retired, so the pin delays the next tenure. A
//!   thread that is not pinned compares the generation before and after; see
//!   [`Record::lifecycle_if_named`].
//! - **Generation**: the upper bits of `generation_and_len`; the lower ones hold the length of the
//!   identity, less one, and are written with it. Handles that are kept outside the table (in
//!   snapshots and runs) carry the generation. After a departure no earlier handle matches, also if
//!   the relay comes back. A relay that is forgotten, and a placeholder, raise none: they are not
//!   live, and no search uses a handle of them.
//! - **An unreachable record** without leases is freed once: by the thread that takes it
//!   from those reclaimable, in a batch, or by its last lease. The load word decides which.

mod announcement;
mod circuit;
mod identity;
mod lifecycle;
mod load;
#[cfg(all(test, relay_loom))]
mod models;
mod policy;
mod rtt;
mod rtt_window;

pub(crate) use announcement::{Announcement, Origin};
pub use circuit::Failure;
pub(crate) use circuit::{Access, BackOff, BackOffRange, Circuit, CircuitChange, Fault, Source};
pub(crate) use identity::Handle;
pub(crate) use lifecycle::{Lifecycle, State};
pub(crate) use load::Load;
pub(crate) use policy::PolicyWord;
pub(in crate::table) use policy::{Policies, Policy};
pub(crate) use rtt::RttUpdate;
#[cfg(feature = "persistence")]
pub(crate) use rtt_window::RttSample;
pub(crate) use rtt_window::{Measurement, Second};

use crate::relay::{NodeId, Rejection};
use crate::sync::{AtomicU32, AtomicU64, Ordering, Touch, Zeroable, fence};
use crate::table::snapshot::{Context, FilterId, Weight};
use crate::time::Tick;
use identity::{AtomicWords, with_len};
use rtt::RttWord;
use rtt_window::RttWindow;

/// Identity and state of one relay.
#[repr(C, align(64))]
pub(in crate::table) struct Record {
    identity_head: AtomicWords<4>,
    lifecycle: AtomicU64,
    load: AtomicU64,
    circuit: AtomicU64,
    generation_and_len: AtomicU32,
    rtt: AtomicU32,
}

/// What goes with a record and is seldom read.
#[repr(C, align(64))]
pub(in crate::table) struct Extra {
    window: RttWindow,
    identity_tail: AtomicWords<4>,
    inbox_link: AtomicU32,
    /// The number of its slot in a run; once the record is retired, its announcement.
    arrival: AtomicU32,
}

/// A record, with what goes with it.
#[derive(Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(in crate::table) record: &'a Record,
    pub(in crate::table) extra: &'a Extra,
    /// Its own is looked up when it is needed: a thread that has touched the load sees what
    /// other threads changed of it before they did.
    pub(in crate::table) policies: &'a Policies,
    pub(in crate::table) index: u32,
}

/// One generation of a record.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(in crate::table) record: &'a Record,
    pub(in crate::table) extra: &'a Extra,
    policies: &'a Policies,
    pub(crate) handle: Handle,
}

impl<'a> Parts<'a> {
    #[inline(always)]
    pub(in crate::table) fn with_handle(self, handle: Handle) -> Subject<'a> {
        let Self {
            record,
            extra,
            policies,
            index,
        } = self;
        debug_assert_eq!(index, handle.index);
        Subject {
            record,
            extra,
            policies,
            handle,
        }
    }
}

impl<'a> Subject<'a> {
    /// `None` if it is the default.
    #[inline(always)]
    fn policy(&self) -> Option<&'a Policy> {
        self.policies.get(self.handle.index)
    }

    #[inline(always)]
    pub(in crate::table) fn tier(&self) -> u8 {
        self.policy().map_or(0, |policy| policy.word().tier())
    }

    /// Whether the relay is in a tier, and passes a filter.
    #[inline(always)]
    pub(in crate::table) fn is_in(&self, tier: u8, filter: Option<FilterId>) -> bool {
        match self.policy() {
            None => tier == 0 && filter.is_none(),
            Some(policy) => policy.word().is_in(tier, filter),
        }
    }

    /// Whether the relay passes a filter.
    #[inline(always)]
    pub(in crate::table) fn passes(&self, filter: FilterId) -> bool {
        self.policy()
            .is_some_and(|policy| policy.word().passes(filter))
    }

    /// What changes the score of the relay now, if anything does.
    #[inline(always)]
    pub(in crate::table) fn weight(&self, context: &Context) -> Option<Weight> {
        let policy = self.policy()?;
        Some(policy.weight(&context.settings, context.now()))
    }
}

#[cfg(not(relay_loom))]
const _: () = assert!(size_of::<Record>() == 64 && size_of::<Extra>() == 64);

// SAFETY: atomics of integers, for which all zeros are valid: departed, idle,
// without leases or identity.
unsafe impl Zeroable for Record {
    fn vacant() -> Self {
        Self {
            identity_head: AtomicWords::default(),
            lifecycle: AtomicU64::default(),
            load: AtomicU64::default(),
            circuit: AtomicU64::default(),
            generation_and_len: AtomicU32::default(),
            rtt: AtomicU32::default(),
        }
    }
}

// SAFETY: atomics of integers, for which all zeros are valid: no samples.
unsafe impl Zeroable for Extra {
    fn vacant() -> Self {
        Self {
            window: RttWindow::default(),
            identity_tail: AtomicWords::default(),
            inbox_link: AtomicU32::default(),
            arrival: AtomicU32::default(),
        }
    }
}

impl Extra {
    /// The round trips of the window.
    #[cfg(feature = "persistence")]
    pub(in crate::table) fn rtt_samples(&self) -> impl Iterator<Item = RttSample> {
        self.window.samples()
    }

    /// The link of the wheel's inbox.
    pub(in crate::table) fn inbox_link(&self) -> &AtomicU32 {
        &self.inbox_link
    }

    /// The number of the slot in which this generation arrived.
    pub(in crate::table) fn arrival(&self) -> u32 {
        // Relaxed: published with the lifecycle word.
        self.arrival.load(Ordering::Relaxed)
    }

    /// Sets that number; only while the record is not admitted.
    pub(in crate::table) fn set_arrival(&self, number: u32) {
        // Relaxed: likewise.
        self.arrival.store(number, Ordering::Relaxed);
    }

    /// Keeps the announcement of a record that is about to be retired, by the thread that retires
    /// it. Once it is freed, its cell is kept for the next relay; or none, by the thread that has
    /// the record.
    pub(in crate::table) fn keep_announcement(&self, index: Option<u32>) {
        // Relaxed: published with the stack of retired records, or of vacant ones.
        let name = index.map_or(0, |index| index + 1);
        self.arrival.store(name, Ordering::Relaxed);
    }

    /// That announcement or its cell, for the thread that has the record.
    pub(in crate::table) fn kept_announcement(&self) -> Option<u32> {
        // Relaxed: likewise.
        self.arrival.load(Ordering::Relaxed).checked_sub(1)
    }
}

impl Record {
    /// Begins a tenure: writes everything but the lifecycle and generation.
    ///
    /// Only while the record is private to this thread. `extra` is the record's
    /// own, here and below.
    ///
    /// `rtt_seed` is when a round trip was reported, in nanoseconds, and the round trip in
    /// microseconds.
    #[inline(always)]
    pub(in crate::table) fn begin(
        &self,
        extra: &Extra,
        id: &NodeId,
        capacity: u32,
        rtt_seed: Option<(u64, u32)>,
    ) {
        // Release: a thread that reads what follows sees the generation of the last tenure
        // raised.
        fence(Ordering::Release);
        self.identity_head.write(id.head());
        extra.identity_tail.write(id.tail());
        // Relaxed: published with the identity. If a relay was live in the last tenure, the
        // thread that closed the record has raised the generation.
        let word = self.generation_and_len.load(Ordering::Relaxed);
        self.generation_and_len
            .store(with_len(word, id.len_u8()), Ordering::Relaxed);
        extra.window.begin();
        if let Some((reported_at, micros)) = rtt_seed {
            extra
                .window
                .seed(reported_at, micros, Second::of(reported_at));
        }
        // Relaxed: published with the bucket entry or the handle.
        let rtt = RttWord(self.rtt.load(Ordering::Relaxed));
        let rtt = rtt.followed_by(rtt_seed.map(|(_, micros)| micros));
        self.rtt.store(rtt.0, Ordering::Relaxed);
        self.load
            .store(Load::idle(capacity).bits(), Ordering::Relaxed);
        self.circuit
            .store(Circuit::CLOSED.bits(), Ordering::Relaxed);
    }

    /// The lifecycle word.
    #[inline]
    pub(in crate::table) fn lifecycle(&self) -> Lifecycle {
        // Acquire: with it come the announcement it names and the identity.
        Lifecycle::from_bits(self.lifecycle.load(Ordering::Acquire))
    }

    /// The same, by a read-modify-write: a thread that replaces the word afterwards sees what
    /// this one has seen.
    pub(in crate::table) fn touch_lifecycle(&self) -> Lifecycle {
        Lifecycle::from_bits(self.lifecycle.touch())
    }

    /// Whether the relay is past its deadline, and has not departed.
    pub(in crate::table) fn is_late(&self, tick: Tick) -> bool {
        let word = self.lifecycle();
        word.is_live() && !word.is_live_at(tick)
    }

    /// The lifecycle word, for a summary of the relay at `tick`.
    ///
    /// A leaf that is computed at `tick` omits an expired relay. A renewal that read an
    /// earlier tick could still succeed, and the relay would stay omitted. So a
    /// compare-and-swap moves the deadline of an expired relay one tick back: that renewal
    /// then either fails, or precedes it and is seen here.
    pub(in crate::table) fn lifecycle_at(&self, tick: Tick) -> Lifecycle {
        let mut word = self.lifecycle();
        while word.is_live() && !word.is_live_at(tick) {
            let earlier = word.with_earlier_deadline();
            // AcqRel: a renewal before this one is seen; one after it sees the leaf tick that
            // was raised before (see `Context::leaf_tick`).
            match self.lifecycle.compare_exchange(
                word.bits(),
                earlier.bits(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return earlier,
                Err(current) => word = Lifecycle::from_bits(current),
            }
        }
        word
    }

    /// Whether the lifecycle is still `word`, so that whatever was read of the
    /// record since `word` was, was so while it was in force.
    ///
    /// `word` is live. If a pinned thread meets the same word twice, the same announcement was
    /// in force before and after, because one that was replaced is not reused before the
    /// thread unpins; and the relay had not departed.
    #[inline]
    pub(in crate::table) fn is_still(&self, word: Lifecycle) -> bool {
        // Relaxed: the words of a record are loaded with acquire. Had we read anything
        // written after the transition, we would see the transition.
        self.lifecycle.load(Ordering::Relaxed) == word.bits()
    }

    /// Sets the lifecycle of a private record.
    pub(in crate::table) fn set_lifecycle(&self, word: Lifecycle) {
        // Release: publishes the announcement and the identity.
        self.lifecycle.store(word.bits(), Ordering::Release);
    }

    /// Makes the record vacant; returns the last word.
    pub(in crate::table) fn vacate(&self) -> Lifecycle {
        // AcqRel: sees the announcement that the last transition published, and is before or
        // after each of them.
        let last = self
            .lifecycle
            .swap(Lifecycle::VACANT.bits(), Ordering::AcqRel);
        Lifecycle::from_bits(last)
    }

    /// Replaces the lifecycle word if it is still `current`.
    #[inline]
    pub(in crate::table) fn transition(&self, current: Lifecycle, next: Lifecycle) -> bool {
        // AcqRel: publishes a new announcement, takes over what the last
        // transition published. SeqCst, also on failure: loads that follow are in order after a
        // transition, whichever thread made it.
        self.lifecycle
            .compare_exchange(
                current.bits(),
                next.bits(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            )
            .is_ok()
    }

    /// The circuit word.
    #[inline]
    pub(in crate::table) fn circuit(&self) -> Circuit {
        // Acquire: sees the pending change that was opened before this word was changed.
        Circuit::from_bits(self.circuit.load(Ordering::Acquire))
    }

    /// Brings the circuit forward by one event; not written when that changes
    /// nothing. Whether it changed.
    pub(in crate::table) fn change_circuit(
        &self,
        next: impl Fn(Circuit) -> Circuit,
    ) -> Option<CircuitChange> {
        let mut before = self.circuit();
        while next(before) != before {
            let after = next(before);
            match self.try_change_circuit(before, after) {
                Ok(()) => return Some(CircuitChange { before, after }),
                Err(current) => before = current,
            }
        }
        None
    }

    /// Takes over what is known of the relay from the record that it had before.
    ///
    /// Only while the record is private to this thread.
    pub(in crate::table) fn inherit(&self, extra: &Extra, before: &Self, its_extra: &Extra) {
        extra.window.copy_from(&its_extra.window);
        // Relaxed: published with the bucket entry or the handle.
        let rtt = RttWord(self.rtt.load(Ordering::Relaxed)).followed_by(before.rtt_micros());
        self.rtt.store(rtt.0, Ordering::Relaxed);
        self.circuit
            .store(before.circuit().bits(), Ordering::Relaxed);
        if before.load().is_draining() {
            self.set_flags(Load::DRAINING);
        }
    }

    /// Claims the trial that `seen` allows; false if it is no longer so.
    pub(in crate::table) fn claim_trial(&self, seen: Circuit, back_off: BackOff) -> bool {
        self.try_change_circuit(seen, seen.with_trial(back_off))
            .is_ok()
    }

    fn try_change_circuit(&self, seen: Circuit, next: Circuit) -> Result<(), Circuit> {
        // AcqRel: publishes the pending change, and sees those of earlier events.
        self.circuit
            .compare_exchange(
                seen.bits(),
                next.bits(),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .map(drop)
            .map_err(Circuit::from_bits)
    }

    /// The load word.
    #[inline]
    pub(in crate::table) fn load(&self) -> Load {
        // Acquire: sees the pending change that was opened before this word was changed.
        // Decisions are made by compare-and-swap, or by a second read of the lifecycle.
        Load::from_bits(self.load.load(Ordering::Acquire))
    }

    /// Takes so many units, at least one, of a relay with this capacity, or says why not; the
    /// words before and after.
    #[inline]
    pub(in crate::table) fn take_lease(
        &self,
        units: u32,
        capacity: u32,
    ) -> Result<(Load, Load), Rejection> {
        self.update_load(|load| load.with_lease(units, capacity))
    }

    /// Releases a lease of so many units on a record that is unreachable or detached; returns
    /// the word before. The lease was the last one if that word has no more units leased.
    pub(in crate::table) fn release_lease_of_removed(&self, units: u32) -> Load {
        // AcqRel: the last release sees what the other holders did before theirs.
        Load::from_bits(self.load.fetch_sub(units.into(), Ordering::AcqRel))
    }

    /// Sets flags; returns the word before.
    pub(in crate::table) fn set_flags(&self, flags: u64) -> Load {
        // Acquire: with no leases left, sees what their holders did. Release: the last lease
        // sees what preceded the flag.
        Load::from_bits(self.load.fetch_or(flags, Ordering::AcqRel))
    }

    /// Brings the load forward by one event, by what `next` makes of it; the word
    /// before and after.
    ///
    /// `next` may be called more than once, each time before the change.
    #[inline]
    pub(in crate::table) fn update_load<E>(
        &self,
        mut next: impl FnMut(Load) -> Result<Load, E>,
    ) -> Result<(Load, Load), E> {
        // Acquire: see `load`.
        let mut seen = self.load.load(Ordering::Acquire);
        loop {
            let wanted = next(Load::from_bits(seen))?;
            // AcqRel: a unit is taken after its former holder released it.
            match self.load.compare_exchange_weak(
                seen,
                wanted.bits(),
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok((Load::from_bits(seen), wanted)),
                Err(current) => seen = current,
            }
        }
    }

    /// The load word. Orders this thread with every change of it and every other call of
    /// this: a later one sees what this thread did before, and what this thread does next
    /// sees what came before an earlier one.
    pub(in crate::table) fn touch_load(&self) -> Load {
        Load::from_bits(self.load.touch())
    }
}
