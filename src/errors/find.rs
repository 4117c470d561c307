//! [`FindError`]: no relay is eligible, with the number of relays for each reason.

use crate::relay::Rejection;
use std::error::Error;
use std::fmt;

/// Why no relay was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindError {
    /// No registered relay is eligible. The counts say which condition to relax. If they
    /// are all zero, no relay is registered.
    #[non_exhaustive]
    NoRelaysAvailable {
        /// How many relays are not eligible, by reason.
        rejections: Rejections,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NoRelaysAvailable { rejections } = self;
        f.write_str("no relay is available")?;
        let mut separator = ": ";
        for &reason in Rejection::ALL {
            let count = rejections.count(reason);
            if count != 0 {
                write!(f, "{separator}{count} {}", reason.name())?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl Error for FindError {}

/// How many relays are not eligible, by reason.
///
/// Each relay counts once: under `excluded` if the call excludes its id; else under the
/// reason that holds for all callers; else under its round trip.
///
/// The counts come from counters that each change of a relay updates, so their price does
/// not depend on the number of relays. They are as of the end of the call, and may miss
/// changes that other threads are making at that moment. A relay that is past its deadline
/// keeps its previous count until a sweep or a find detects that it expired. With a
/// [maintenance](crate::Maintenance) thread that takes one tick at most. A relay whose
/// back-off or ban is over is no longer counted for it by the first find of that tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejections {
    /// Unregistered or expired since the relays were last sorted. The next maintenance
    /// pass drops them.
    pub departed: usize,
    /// All their units are taken.
    pub full: usize,
    /// They take no new leases.
    pub draining: usize,
    /// They failed lately, and are not yet due for a trial.
    pub backing_off: usize,
    /// Banned by the operator.
    pub banned: usize,
    /// The target, this node, and those excluded by the options.
    pub excluded: usize,
    /// They were measured, and are beyond the maximum latency.
    pub too_far: usize,
    /// They were not measured, and the call has a maximum latency.
    pub unmeasured: usize,
}

impl Rejections {
    /// How many relays are not eligible for any reason: all that are registered, and those
    /// that [departed](Self::departed) since the relays were last sorted.
    #[must_use]
    pub fn total(&self) -> usize {
        let counts = Rejection::ALL.iter().map(|&reason| self.count(reason));
        counts.fold(0, usize::saturating_add)
    }

    fn count(mut self, reason: Rejection) -> usize {
        *self.count_mut(reason)
    }

    /// The count of a reason.
    pub(crate) fn count_mut(&mut self, reason: Rejection) -> &mut usize {
        match reason {
            Rejection::Departed => &mut self.departed,
            Rejection::Full => &mut self.full,
            Rejection::Draining => &mut self.draining,
            Rejection::BackingOff => &mut self.backing_off,
            Rejection::Banned => &mut self.banned,
            Rejection::Excluded => &mut self.excluded,
            Rejection::TooFar => &mut self.too_far,
            Rejection::Unmeasured => &mut self.unmeasured,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_errors_name_only_what_counts() {
        let say = |rejections| FindError::NoRelaysAvailable { rejections }.to_string();
        assert_eq!(say(Rejections::default()), "no relay is available");
        let some = Rejections {
            full: 2,
            too_far: 1,
            ..Rejections::default()
        };
        assert_eq!(say(some), "no relay is available: 2 full, 1 too far");
        let all = Rejections {
            departed: 1,
            full: 2,
            draining: 3,
            excluded: 4,
            too_far: 5,
            unmeasured: 6,
            backing_off: 7,
            banned: 8,
        };
        assert_eq!(
            say(all),
            "no relay is available: 1 departed, 2 full, 3 draining, 7 backing off, 8 banned, \
             4 excluded, 5 too far, 6 unmeasured"
        );
        assert_eq!(all.total(), 36);
    }

    #[test]
    fn totals_do_not_overflow() {
        let rejections = Rejections {
            departed: usize::MAX,
            full: 1,
            ..Rejections::default()
        };
        assert_eq!(rejections.total(), usize::MAX);
    }
}
