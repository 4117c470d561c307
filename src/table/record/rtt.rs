//! The round trip in force: a figure that follows from a window of samples.

use super::rtt_window::{Measurement, Second};
use super::{Extra, Record};
use crate::limits::MAX_RTT;
use crate::sync::{Ordering, fence};

/// The figure in force, in microseconds, and above it a number that changes with
/// every change of the word.
///
/// The number prevents ABA: a thread that computed a figure before the samples were
/// forgotten cannot store it afterwards, unless exactly 256 changes (or a multiple) happened
/// in between and the figure is the same. Then its figure is in force until it has checked
/// the window again, which it does next.
#[derive(Clone, Copy)]
pub(super) struct RttWord(pub(super) u32);

impl RttWord {
    const MICROS_BITS: u32 = 24;
    /// What a change adds.
    const CHANGE: u32 = 1 << Self::MICROS_BITS;

    /// Zero microseconds stand for *not measured*.
    fn micros(self) -> Option<u32> {
        let micros = self.0 & (Self::CHANGE - 1);
        (micros != 0).then_some(micros)
    }

    pub(super) fn followed_by(self, micros: Option<u32>) -> Self {
        let number = self.0.wrapping_add(Self::CHANGE) & !(Self::CHANGE - 1);
        Self(number | micros.unwrap_or(0))
    }
}

const _: () = assert!(MAX_RTT.as_micros() < RttWord::CHANGE as u128);

/// How [`Record::refresh_rtt`] changed the figure in force.
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

impl Record {
    /// The round-trip time from here that is in force, in microseconds.
    ///
    /// One that has lapsed is in force until the record is [refreshed](Self::refresh_rtt).
    #[inline]
    pub(in crate::table) fn rtt_micros(&self) -> Option<u32> {
        self.rtt().micros()
    }

    #[inline]
    fn rtt(&self) -> RttWord {
        // Acquire: sees the pending change that was opened before this word was changed.
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

    /// Whether a round trip is in force without a sample from `oldest` on.
    #[inline]
    pub(in crate::table) fn has_lapsed(
        &self,
        extra: &Extra,
        oldest: impl FnOnce() -> Second,
    ) -> bool {
        self.rtt_micros().is_some() && !extra.window.has_any_since(oldest())
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

    /// Adds a measurement, where those from `oldest` on count, before the figure in
    /// force is [refreshed](Self::refresh_rtt).
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

    /// Adds a figure that counts while there is no measurement from `oldest` on; whether that
    /// changed the window. Then likewise.
    pub(in crate::table) fn add_seed(
        &self,
        extra: &Extra,
        elapsed_nanos: u64,
        micros: u32,
        oldest: Second,
    ) -> bool {
        let is_added = extra.window.seed(elapsed_nanos, micros, oldest);
        if is_added {
            // SeqCst: see `refresh_rtt`.
            fence(Ordering::SeqCst);
        }
        is_added
    }

    /// Recomputes the round trip in force from the window, where samples from `oldest` on
    /// count. `begin_pending` is called before it changes.
    ///
    /// A thread that changed the window calls this afterwards, with a SeqCst fence in between.
    /// A thread that changes the figure reads the window again, with a SeqCst fence in
    /// between. One of the two fences is the first: either the one thread sees the other's
    /// figure, or the other sees the change of the window. So figure and window agree once
    /// all threads have finished.
    pub(in crate::table) fn refresh_rtt(
        &self,
        extra: &Extra,
        oldest: Second,
        begin_pending: &mut dyn FnMut(),
    ) -> RttUpdate {
        let mut seen = self.rtt();
        let mut update = RttUpdate::Unchanged;
        loop {
            let wanted = extra.window.in_force(oldest).map(|it| it.micros);
            if seen.micros() == wanted {
                return update;
            }
            begin_pending();
            let next = seen.followed_by(wanted);
            // AcqRel: what the thread before this one saw of the window, this one sees
            // when it looks again.
            match self
                .rtt
                .compare_exchange(seen.0, next.0, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => {
                    update = match seen.micros() {
                        Some(_) => update.max(RttUpdate::Changed),
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
        begin_pending: &mut dyn FnMut(),
    ) -> RttUpdate {
        extra.window.clear(elapsed_nanos);
        // AcqRel: a thread that changes the figure next sees that the window is clear.
        self.rtt.fetch_add(RttWord::CHANGE, Ordering::AcqRel);
        // SeqCst: see `refresh_rtt`. Of what was measured since, all counts.
        fence(Ordering::SeqCst);
        self.refresh_rtt(extra, Second::FIRST, begin_pending)
    }
}
