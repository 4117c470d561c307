//! Why no relay was found, a named one not leased, or a view not taken.

use crate::limits::MAX_RTT;
use crate::relay::Rejection;
use std::error::Error;
use std::fmt;
use std::time::Duration;

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
        match rejections.total() {
            0 => f.write_str("no relay is available: none is registered"),
            _ => write!(f, "no relay is available: {rejections}"),
        }
    }
}

/// The reasons that count for any relay, as in `2 full, 1 too far`.
impl fmt::Display for Rejections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (reason, count) in self.by_reason() {
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
/// Each relay counts once, under the first of these that holds:
///
/// 1. It departed.
/// 2. The call excludes its id.
/// 3. It is banned, or backs off.
/// 4. It drains.
/// 5. It has too few free units.
/// 6. The call excludes its failure domain.
/// 7. It has other labels than the call asks for.
/// 8. It is not reachable over the family that the call asks for.
/// 9. It is too far, or unmeasured.
///
/// The counts come from counters that each change of a relay updates, so their price does
/// not depend on the number of relays. They are as of the end of the call, and may miss
/// changes that other threads are making at that moment. A relay that is past its deadline
/// keeps its previous count until a sweep or a find detects that it expired. With a
/// [maintenance](crate::Maintenance) thread that takes one tick at most. A relay whose
/// back-off or ban is over is no longer counted for it by the first find of that tick.
/// A call may ask for [labels](crate::FindOptions::require), a family or other failure domains, or
/// for [several units](crate::FindOptions::units) within a maximum latency. If more than 128 relays
/// are eligible to others then, some of these are looked at, and the rest is divided between the
/// reasons of the call in the same proportion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Rejections {
    /// Unregistered or expired since the relays were last sorted. The next maintenance
    /// pass drops them. A relay that arrived since then, too, is dropped at once.
    pub departed: usize,
    /// All their units are taken, or fewer are free than the call
    /// [asks for](crate::FindOptions::units).
    pub full: usize,
    /// They take no new leases.
    pub draining: usize,
    /// They failed lately, and are not yet due for a trial.
    pub backing_off: usize,
    /// Banned by the operator.
    pub banned: usize,
    /// The target, the requester, this node, and those that the options exclude.
    pub excluded: usize,
    /// They lack a label that the call [requires](crate::FindOptions::require), or have one
    /// that it [avoids](crate::FindOptions::avoid).
    pub labels: usize,
    /// They are not reachable over the [family](crate::FindOptions::family) that the call asks
    /// for.
    pub family: usize,
    /// They were measured, and are beyond the maximum latency.
    pub too_far: usize,
    /// They were not measured, and the call has a maximum latency.
    pub unmeasured: usize,
    /// Relays of a lower tier are eligible. Zero where no relay was found; explanations tell
    /// this reason.
    pub tier: usize,
}

impl Rejections {
    /// How many relays are not eligible for any reason: all that are registered, and those
    /// that [departed](Self::departed) since the relays were last sorted.
    #[must_use]
    pub fn total(&self) -> usize {
        let counts = self.by_reason().map(|(_, count)| count);
        counts.into_iter().fold(0, usize::saturating_add)
    }

    /// The reason of most relays; of several such reasons the first one. `None` if no relay is
    /// registered.
    pub(crate) fn main(&self) -> Option<Rejection> {
        let (mut main, mut most) = (None, 0);
        for (reason, count) in self.by_reason() {
            if count > most {
                (main, most) = (Some(reason), count);
            }
        }
        main
    }

    /// Each reason with its count, in the order of the reasons.
    #[inline(always)]
    fn by_reason(&self) -> [(Rejection, usize); Rejection::ALL.len()] {
        let &Self {
            departed,
            full,
            draining,
            backing_off,
            banned,
            excluded,
            labels,
            family,
            too_far,
            unmeasured,
            tier,
        } = self;
        [
            (Rejection::Departed, departed),
            (Rejection::Full, full),
            (Rejection::Draining, draining),
            (Rejection::BackingOff, backing_off),
            (Rejection::Banned, banned),
            (Rejection::Excluded, excluded),
            (Rejection::Labels, labels),
            (Rejection::Family, family),
            (Rejection::TooFar, too_far),
            (Rejection::Unmeasured, unmeasured),
            (Rejection::Tier, tier),
        ]
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
            Rejection::Labels => &mut self.labels,
            Rejection::Family => &mut self.family,
            Rejection::TooFar => &mut self.too_far,
            Rejection::Unmeasured => &mut self.unmeasured,
            Rejection::Tier => &mut self.tier,
        }
    }
}

/// Why a named relay was not leased. For each of these reasons, try another relay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// No such relay is registered, or it has expired.
    UnknownRelay,
    /// The load of the relay is at its capacity, or leaves fewer units free than were asked
    /// for. Unless these are more than the capacity, a lease may succeed when another one has
    /// been dropped.
    #[non_exhaustive]
    Full {
        /// The relay's capacity.
        capacity: u32,
    },
    /// The relay is draining: it serves the leases that it has, and takes no new ones.
    Draining,
    /// The operator banned the relay.
    Banned,
}

impl fmt::Display for LeaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRelay => f.write_str("the relay is not registered, or has expired"),
            Self::Full { capacity } => {
                write!(
                    f,
                    "fewer units are free than the lease asks for, of the relay's capacity of \
                     {capacity}"
                )
            }
            Self::Draining => f.write_str("the relay is draining and takes no new leases"),
            Self::Banned => f.write_str("the operator banned the relay"),
        }
    }
}

impl Error for LeaseError {}

/// Why a relay was not added to a peer's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerViewError {
    /// The round trip is above [`MAX_RTT`]. Leave the relay out.
    #[non_exhaustive]
    InvalidRtt {
        /// The round trip that was given.
        rtt: Duration,
    },
    /// The view has three relays already, which is the most. Give the nearest three.
    Full,
}

impl fmt::Display for PeerViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRtt { rtt } => {
                write!(
                    f,
                    "the RTT is {rtt:?}, longer than {MAX_RTT:?}: leave the relay out"
                )
            }
            Self::Full => f.write_str(
                "the view has three relays already, which is the most: give the nearest three",
            ),
        }
    }
}

impl Error for PeerViewError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_errors_name_only_what_counts() {
        let say = |rejections| FindError::NoRelaysAvailable { rejections }.to_string();
        let none = say(Rejections::default());
        assert_eq!(none, "no relay is available: none is registered");
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
            labels: 9,
            family: 10,
            tier: 0,
        };
        assert_eq!(
            say(all),
            "no relay is available: 1 departed, 2 full, 3 draining, 7 backing off, 8 banned, \
             4 excluded, 9 with other labels, 10 of the other family, 5 too far, 6 unmeasured"
        );
        assert_eq!(all.total(), 55);
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
