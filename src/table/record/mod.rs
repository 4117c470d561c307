//! The shared record of one relay: its identity and the atomics that change.
//!
//! A record is two cache lines. The first both identifies and decides: it is
//! all that a look-up, a selection or a reservation reads. The second, its
//! [`Extra`], is for long identities and bookkeeping, and lies elsewhere, so that
//! the first ones lie close to each other.
//!
//! ```text
//! record: identity[0..32] | lifecycle | load | circuit | life | rtt
//! extra:  RTT window | identity[32..63] | inbox link | number of arrival
//! ```
//!
//! # The life of a record
//!
//! Records lie in a pool that is never returned to the allocator while anyone
//! could look, and are used again. One life goes
//!
//! 1. *private*: taken from the pool by one registrant, which alone writes it;
//! 2. *pending*: named by its bucket, the wheel and an arrivals run, but no
//!    look-up or selection accepts it;
//! 3. *live*: admitted, by the compare-and-swap that clears the pending bit;
//! 4. *departing*: the compare-and-swap that takes the deadline away decides which
//!    thread closes it: counts it out, closes the load word, raises the generation;
//! 5. *gone*: its relay may come back, and then is what it was: *returning*, then live;
//! 6. *vacant*: it was forgotten, is out of its bucket, and is retired;
//! 7. *unreachable*: every thread that was pinned at that time has unpinned,
//!    so no reference is left but leases. With none of those it is private
//!    again, to the registrant that takes it.
//!
//! # Invariants
//!
//! - **Identity** is written only while private. A thread that is pinned and
//!   came upon the record through its bucket, or through a handle whose
//!   generation matches, reads it whole until it unpins: both are cut before the
//!   record is retired, so such a thread holds off the next life. One that is
//!   not pinned looks at the generation before and after; see [`Record::lifecycle_if_named`].
//! - **Generation** counts departures, in the upper bits of the life word; the lower
//!   ones hold the length of the identity, by the rule of the identity. Handles
//!   kept outside the table (in snapshots and runs) carry the generation; a
//!   record that departed matches none of them, also when its relay came back.
//! - **The last lease** of an unreachable record, or the collector if there is
//!   no lease, returns it to the pool: `Load` decides between the two.

mod announcement;
mod atomic_words;
mod circuit;
mod lifecycle;
mod load;
#[cfg(all(test, relay_loom))]
mod models;
mod rtt_window;

pub(crate) use announcement::{Announcement, Origin};
pub use circuit::Failure;
pub(crate) use circuit::{Access, Availability, BackOff, BackOffRange, Circuit, Fault, Source};
pub(crate) use lifecycle::{Lifecycle, State};
pub(crate) use load::{Load, Refusal};
pub(crate) use rtt_window::{Measurement, Second};

use crate::limits::MAX_RTT;
use crate::relay::NodeId;
use crate::sync::{AtomicU32, AtomicU64, Ordering, Zeroable, fence};
use crate::time::Tick;
use atomic_words::AtomicWords;
use rtt_window::RttWindow;

/// Identity and state of one relay.
#[repr(C, align(64))]
pub(in crate::table) struct Record {
    identity_head: AtomicWords<4>,
    lifecycle: AtomicU64,
    load: AtomicU64,
    circuit: AtomicU64,
    life: AtomicU32,
    rtt: AtomicU32,
}

/// What goes with a record and is seldom read.
#[repr(C, align(64))]
pub(in crate::table) struct Extra {
    window: RttWindow,
    identity_tail: AtomicWords<4>,
    inbox_link: AtomicU32,
    arrival: AtomicU32,
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
            life: AtomicU32::default(),
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
    /// Whether a long id goes on as `id` does.
    #[cold]
    #[inline(never)]
    fn has_tail_of(&self, id: &NodeId) -> bool {
        self.identity_tail.are(id.tail())
    }

    /// The link of the wheel's inbox.
    pub(in crate::table) fn inbox_link(&self) -> &AtomicU32 {
        &self.inbox_link
    }

    /// The number under which this life arrived.
    pub(in crate::table) fn arrival(&self) -> u32 {
        // Relaxed: published with the life that it is of.
        self.arrival.load(Ordering::Relaxed)
    }

    /// Notes that number; only while the record is not admitted.
    pub(in crate::table) fn set_arrival(&self, number: u32) {
        // Relaxed: likewise.
        self.arrival.store(number, Ordering::Relaxed);
    }
}

/// Names one life of a record, for keeping where no thread is pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Handle {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Handle {
    /// The bits of a generation.
    pub(crate) const GENERATION_BITS: u32 = u32::BITS - LEN_BITS;
}

/// The figure in force, in microseconds, and above it a number that changes with
/// every change of the word.
///
/// So no thread that was held up puts a figure back that was forgotten meanwhile. The
/// number comes round after 256 changes. A thread that sleeps through exactly so many,
/// and finds the same figure, puts its own there for the moment that it takes it to look
/// at the window once more.
#[derive(Clone, Copy)]
struct RttWord(u32);

impl RttWord {
    const MICROS_BITS: u32 = 24;
    /// What a change adds.
    const CHANGE: u32 = 1 << Self::MICROS_BITS;

    /// Zero microseconds stand for *not measured*.
    fn micros(self) -> Option<u32> {
        let micros = self.0 & (Self::CHANGE - 1);
        (micros != 0).then_some(micros)
    }

    fn followed_by(self, micros: Option<u32>) -> Self {
        let number = self.0.wrapping_add(Self::CHANGE) & !(Self::CHANGE - 1);
        Self(number | micros.unwrap_or(0))
    }
}

const _: () = assert!(MAX_RTT.as_micros() < RttWord::CHANGE as u128);

/// What settling made of the figure in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RttUpdate {
    Unchanged,
    Changed,
    /// There was none before, perhaps for a moment only.
    Begun,
}

impl RttUpdate {
    pub(crate) fn is_change(self) -> bool {
        self != Self::Unchanged
    }
}

/// The part of the life word that holds the length of the identity.
const LEN_BITS: u32 = 6;
const LEN_MASK: u32 = (1 << LEN_BITS) - 1;

const _: () = assert!(NodeId::MAX_LEN as u32 <= LEN_MASK);

impl Record {
    /// Begins a new life: writes everything but the lifecycle and generation.
    ///
    /// Only while the record is private to this thread. `extra` is the record's
    /// own, here and below.
    ///
    /// `rtt_seed` is a round trip in microseconds, and when it was told, in nanoseconds.
    pub(in crate::table) fn begin(
        &self,
        extra: &Extra,
        id: &NodeId,
        capacity: u32,
        rtt_seed: Option<(u64, u32)>,
    ) {
        // Release: who glances at what follows finds the last life ended.
        fence(Ordering::Release);
        self.identity_head.write(id.head());
        extra.identity_tail.write(id.tail());
        // Relaxed: published with the identity that it belongs to. The
        // generation was raised by whoever retired the last life.
        let life = self.life.load(Ordering::Relaxed);
        self.life
            .store(life & !LEN_MASK | u32::from(id.len_u8()), Ordering::Relaxed);
        extra.window.clear(0);
        if let Some((told_at, micros)) = rtt_seed {
            extra.window.seed(told_at, micros, Second::of(told_at));
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

    /// Whether this is the record of `id`; for whoever holds off its next life.
    #[inline]
    pub(in crate::table) fn matches<'a>(
        &self,
        extra: impl FnOnce() -> &'a Extra,
        id: &NodeId,
    ) -> bool {
        self.is_named(extra, id, self.identity_len())
    }

    #[inline(always)]
    fn is_named<'a>(&self, extra: impl FnOnce() -> &'a Extra, id: &NodeId, len: u8) -> bool {
        len == id.len_u8()
            && self.identity_head.are(id.head())
            && (id.len_u8() <= 32 || extra().has_tail_of(id))
    }

    /// The lifecycle word, if the record is that of `id` and `accept` takes it,
    /// as it must take no record that is not live; for anybody, pinned or not.
    ///
    /// The generation is the same before and after, so what was read in between
    /// is of one life: nothing of an earlier one, which had departed before its
    /// generation ended, and nothing of a later one, which began after that.
    #[inline(always)]
    pub(in crate::table) fn lifecycle_if_named<'a>(
        &self,
        extra: impl FnOnce() -> &'a Extra,
        id: &NodeId,
        accept: impl FnOnce(Lifecycle) -> bool,
    ) -> Option<Lifecycle> {
        // Acquire: the life before has departed.
        let life = self.life.load(Ordering::Acquire);
        let word = self.lifecycle();
        if !(accept(word) && self.is_named(extra, id, len_in(life))) {
            return None;
        }
        // Acquire: had we read anything of the next life, we would see now that
        // this one has ended.
        fence(Ordering::Acquire);
        (self.life.load(Ordering::Relaxed) == life).then_some(word)
    }

    /// The id of the relay; for whoever holds off its next life.
    #[inline]
    pub(in crate::table) fn identity<'a>(&self, extra: impl FnOnce() -> &'a Extra) -> NodeId {
        let len = self.identity_len();
        let tail = match len {
            ..=32 => [0; 4],
            _ => extra().identity_tail.read(),
        };
        NodeId::from_parts(self.identity_head.read(), tail, len)
    }

    #[inline]
    fn identity_len(&self) -> u8 {
        // Relaxed: published with the identity.
        len_in(self.life.load(Ordering::Relaxed))
    }

    /// The lifecycle word.
    #[inline]
    pub(in crate::table) fn lifecycle(&self) -> Lifecycle {
        // Acquire: with it come the announcement it names and the identity.
        Lifecycle::from_bits(self.lifecycle.load(Ordering::Acquire))
    }

    /// Whether the relay is past its deadline, and has not departed.
    pub(in crate::table) fn is_late(&self, tick: Tick) -> bool {
        let word = self.lifecycle();
        word.is_live() && !word.is_live_at(tick)
    }

    /// The lifecycle word, for a summary of the relay at `tick`.
    ///
    /// A summary leaves out a relay that is past its deadline. So that no renewal that
    /// read an earlier tick brings it back unseen, the deadline of such a relay is moved
    /// back: the compare-and-swap of that renewal fails, or comes before this one and is
    /// seen here. (To touch the word would do for what is so after both. But between the
    /// renewal and its look at the summaries the relay would be live, and left out.)
    pub(in crate::table) fn lifecycle_at(&self, tick: Tick) -> Lifecycle {
        let mut word = self.lifecycle();
        while word.is_live() && !word.is_live_at(tick) {
            let earlier = word.with_earlier_deadline();
            // AcqRel: what a renewal before this did is seen.
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

    /// Whether the record is in this life, so that whatever was read of it since it
    /// was in an earlier one was of this life, too.
    #[inline]
    pub(in crate::table) fn is_in_life(&self, handle: Handle) -> bool {
        // Acquire: had we read anything of the next life, we would see that this one
        // has ended.
        fence(Ordering::Acquire);
        self.life.load(Ordering::Relaxed) >> LEN_BITS == handle.generation
    }

    /// What is drawn of a key for this relay: the same for each life of an id.
    pub(in crate::table) fn jitter(&self, key: u64) -> u8 {
        let [one, other, ..] = self.identity_head.read();
        let mixed = (one ^ other.rotate_left(32) ^ key).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as u8
    }

    /// Whether the lifecycle is still `word`, so that whatever was read of the
    /// record since `word` was, was so while it was in force.
    ///
    /// A pinned thread never meets the same word twice with another in between:
    /// an announcement that was replaced is not used again before it unpins.
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

    /// Takes the lifecycle away; what it was.
    pub(in crate::table) fn vacate(&self) -> Lifecycle {
        // AcqRel: comes before or after each transition, and takes over what the last one
        // published.
        let last = self
            .lifecycle
            .swap(Lifecycle::VACANT.bits(), Ordering::AcqRel);
        Lifecycle::from_bits(last)
    }

    /// Replaces the lifecycle word if it is still `current`.
    #[inline]
    pub(in crate::table) fn transition(&self, current: Lifecycle, next: Lifecycle) -> bool {
        // AcqRel: publishes a new announcement, takes over what the last
        // transition published. Failure leads to a fresh load.
        self.lifecycle
            .compare_exchange(
                current.bits(),
                next.bits(),
                Ordering::AcqRel,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// The number of the present life.
    #[inline]
    pub(in crate::table) fn generation(&self) -> u32 {
        // Acquire: a matching generation comes with the identity of that life.
        self.life.load(Ordering::Acquire) >> LEN_BITS
    }

    /// Makes every handle stale; only for the thread that closes the record.
    pub(in crate::table) fn end_generation(&self) {
        // Release: the next life's identity is written after this, and a
        // reader that still sees the old number is pinned since before.
        self.life.fetch_add(1 << LEN_BITS, Ordering::Release);
    }

    /// The circuit word.
    #[inline]
    pub(in crate::table) fn circuit(&self) -> Circuit {
        // Acquire: a thread that sees a relay trusted again finds whatever was noted
        // or said of it before.
        Circuit::from_bits(self.circuit.load(Ordering::Acquire))
    }

    /// Brings the circuit forward by one event; not written when that changes
    /// nothing. Whether it changed.
    pub(in crate::table) fn change_circuit(&self, next: impl Fn(Circuit) -> Circuit) -> bool {
        let mut seen = self.circuit();
        while next(seen) != seen {
            match self.try_change_circuit(seen, next(seen)) {
                Ok(()) => return true,
                Err(current) => seen = current,
            }
        }
        false
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
        // AcqRel: as for reading it. One word, so events are in one order.
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
        // Acquire: a thread that sees room finds whatever was noted or said of it
        // before. Decisions are made by compare-and-swap, or a second look at the
        // lifecycle.
        Load::from_bits(self.load.load(Ordering::Acquire))
    }

    /// Takes one of `capacity` units, or says why not; the word with the lease.
    #[inline]
    pub(in crate::table) fn take_lease(&self, capacity: u32) -> Result<(Load, Load), Refusal> {
        self.update_load(|load| load.with_lease(capacity))
    }

    /// Gives one unit back in any case; returns the word as it was before.
    pub(in crate::table) fn release_lease_of_departed(&self) -> Load {
        // AcqRel: the last lease passes the record on after all others.
        Load::from_bits(self.load.fetch_sub(Load::LEASE, Ordering::AcqRel))
    }

    /// Sets flags and returns the word as it was before.
    pub(in crate::table) fn set_flags(&self, flags: u64) -> Load {
        // AcqRel: decides against releases on the same word.
        Load::from_bits(self.load.fetch_or(flags, Ordering::AcqRel))
    }

    /// Brings the load forward by one event, by what `next` makes of it; the word
    /// before and after.
    ///
    /// What `next` does beside happens before the change, perhaps more than once.
    #[inline]
    pub(in crate::table) fn update_load<E>(
        &self,
        mut next: impl FnMut(Load) -> Result<Load, E>,
    ) -> Result<(Load, Load), E> {
        // Acquire: as for the load itself.
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
        // AcqRel: that is all that it is for.
        Load::from_bits(self.load.fetch_add(0, Ordering::AcqRel))
    }

    /// The round-trip time from here that is in force, in microseconds.
    ///
    /// One that has lapsed is in force until the record is [settled](Self::refresh_rtt).
    #[inline]
    pub(in crate::table) fn rtt_micros(&self) -> Option<u32> {
        self.rtt().micros()
    }

    #[inline]
    fn rtt(&self) -> RttWord {
        // Acquire: a thread that sees a relay come nearer finds what was noted or
        // said of it before.
        RttWord(self.rtt.load(Ordering::Acquire))
    }

    /// What is known of the round-trip time, where samples from `oldest` on count.
    #[inline]
    pub(in crate::table) fn measurement(
        &self,
        extra: &Extra,
        oldest: Second,
    ) -> Option<Measurement> {
        let micros = self.rtt_micros()?;
        let latest = extra.window.latest(oldest)?;
        Some(Measurement { micros, latest })
    }

    /// When the latest sample was taken, if one from `oldest` on is there; for the thread
    /// that has just read the deadline.
    ///
    /// A thread that takes the first sample reads the deadline after that. So either it
    /// sees the deadline that was read here, or its sample is seen here.
    pub(in crate::table) fn latest_sample(&self, extra: &Extra, oldest: Second) -> Option<Second> {
        // SeqCst: pairs with the one after a sample.
        fence(Ordering::SeqCst);
        extra.window.latest(oldest)
    }

    /// Takes in a measurement, where those from `oldest` on count, before the figure in
    /// force is [settled](Self::refresh_rtt).
    pub(in crate::table) fn add_sample(
        &self,
        extra: &Extra,
        elapsed_nanos: u64,
        micros: u32,
        oldest: Second,
    ) {
        if extra.window.record(elapsed_nanos, micros, oldest) {
            // SeqCst: see `refresh_rtt`.
            fence(Ordering::SeqCst);
        }
    }

    /// Takes in a figure that counts while there is no measurement from `oldest` on; then
    /// likewise.
    pub(in crate::table) fn add_seed(
        &self,
        extra: &Extra,
        elapsed_nanos: u64,
        micros: u32,
        oldest: Second,
    ) {
        if extra.window.seed(elapsed_nanos, micros, oldest) {
            // SeqCst: see `refresh_rtt`.
            fence(Ordering::SeqCst);
        }
    }

    /// Brings the RTT in force in line with the window, where samples from `oldest` on
    /// count. `announce` is called before it changes.
    ///
    /// A thread that changed the window does this afterwards, with a fence in between. A
    /// thread that changes the figure looks at the window again, with a fence in between.
    /// Of the two fences one comes first: either the one thread sees the other's figure,
    /// or that one sees the change of the window. So the two agree once all have ended.
    pub(in crate::table) fn refresh_rtt(
        &self,
        extra: &Extra,
        oldest: Second,
        announce: &mut dyn FnMut(),
    ) -> RttUpdate {
        let mut seen = self.rtt();
        let mut settled = RttUpdate::Unchanged;
        loop {
            let wanted = extra.window.in_force(oldest).map(|it| it.micros);
            if seen.micros() == wanted {
                return settled;
            }
            announce();
            let next = seen.followed_by(wanted);
            // AcqRel: what the thread before this one saw of the window, this one sees
            // when it looks again.
            match self
                .rtt
                .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    settled = match seen.micros() {
                        Some(_) => settled.max(RttUpdate::Changed),
                        None => RttUpdate::Begun,
                    };
                    // SeqCst: see above.
                    fence(Ordering::SeqCst);
                    seen = next;
                }
                Err(current) => seen = RttWord(current),
            }
        }
    }

    /// Forgets all samples, and what followed from them.
    ///
    /// The word of the figure changes in any case, so that no thread which computed one
    /// before puts it there afterwards.
    pub(in crate::table) fn forget_rtt(
        &self,
        extra: &Extra,
        elapsed_nanos: u64,
        announce: &mut dyn FnMut(),
    ) -> RttUpdate {
        extra.window.clear(elapsed_nanos);
        // AcqRel: a thread that changes the figure next sees that the window is clear.
        self.rtt.fetch_add(RttWord::CHANGE, Ordering::AcqRel);
        // SeqCst: see `refresh_rtt`. Of what was measured since, all counts.
        fence(Ordering::SeqCst);
        self.refresh_rtt(extra, Second::FIRST, announce)
    }
}

/// The length of the identity in a life word.
#[inline]
fn len_in(life: u32) -> u8 {
    (life & LEN_MASK) as u8
}
