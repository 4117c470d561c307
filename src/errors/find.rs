//! Why no relay was found, a named one not leased, or a view not taken.

use crate::limits::MAX_RTT;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why no relay was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindError {
    /// No relay that is held meets the conditions. The counts say which condition
    /// to relax; where they are all zero, no relay is held at all.
    #[non_exhaustive]
    NoRelaysAvailable {
        /// How many relays were not eligible, by reason.
        rejections: Rejections,
    },
}

impl fmt::Display for FindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::NoRelaysAvailable { rejections } = self;
        f.write_str("no relay is available")?;
        let mut separator = ": ";
        for (count, reason) in rejections.reasons() {
            if count != 0 {
                write!(f, "{separator}{count} {reason}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

impl Error for FindError {}

/// How many relays were not eligible, by reason.
///
/// Each relay counts once: under `excluded` if the call itself excludes its id, else under
/// what keeps it from all callers, else under its round trip.
///
/// The counts are read from counters that each change of a relay updates. So their cost
/// does not depend on the number of relays. They are as of the end of the call, and may be
/// off by the relays that other threads change meanwhile. A relay that is past its deadline
/// counts as before until a sweep, or a find that meets it, marks it as expired: for at
/// most one tick, if a thread does the [maintenance](crate::Maintenance). When a back-off
/// or ban is over, the first find of that tick no longer counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Rejections {
    /// Unregistered or expired since the relays were last sorted. The next maintenance
    /// pass drops them.
    pub departed: usize,
    /// At their capacity.
    pub full: usize,
    /// Draining: they take no new leases.
    pub draining: usize,
    /// In back-off after failures.
    pub backing_off: usize,
    /// Banned by the operator.
    pub banned: usize,
    /// The target, this node, and those that the options exclude.
    pub excluded: usize,
    /// Measured, and above the maximum latency.
    pub too_far: usize,
    /// Not measured, and a maximum latency was given.
    pub unmeasured: usize,
}

impl Rejections {
    /// The number of relays that were not eligible for any reason: those that are held, and
    /// those that [departed](Self::departed) since the last sort.
    #[must_use]
    pub fn total(&self) -> usize {
        self.reasons()
            .into_iter()
            .fold(0, |total, (count, _)| total.saturating_add(count))
    }

    fn reasons(&self) -> [(usize, &'static str); 8] {
        [
            (self.departed, "departed"),
            (self.full, "full"),
            (self.draining, "draining"),
            (self.backing_off, "backing off"),
            (self.banned, "banned"),
            (self.excluded, "excluded"),
            (self.too_far, "too far"),
            (self.unmeasured, "unmeasured"),
        ]
    }
}

/// Why a named relay was not leased. For each of these reasons, try another relay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LeaseError {
    /// No such relay is registered, or it has expired.
    UnknownRelay,
    /// The load of the relay is at its capacity. A lease may succeed when another one has
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
                write!(f, "the relay is full at its capacity of {capacity}")
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
            Self::Full => f.write_str("the view has three relays already, which is the most"),
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

    #[test]
    fn lease_errors_explain_themselves() {
        for (error, says) in [
            (LeaseError::Banned, "the operator banned the relay"),
            (
                LeaseError::UnknownRelay,
                "the relay is not registered, or has expired",
            ),
            (
                LeaseError::Full { capacity: 8 },
                "the relay is full at its capacity of 8",
            ),
            (
                LeaseError::Draining,
                "the relay is draining and takes no new leases",
            ),
        ] {
            assert_eq!(error.to_string(), says);
        }
    }

    #[test]
    fn view_errors_explain_themselves() {
        let rtt = Duration::from_secs(11);
        assert_eq!(
            PeerViewError::InvalidRtt { rtt }.to_string(),
            "the RTT is 11s, longer than 10s: leave the relay out"
        );
        assert_eq!(
            PeerViewError::Full.to_string(),
            "the view has three relays already, which is the most"
        );
    }
}
