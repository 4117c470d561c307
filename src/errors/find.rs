//! Why no relay was found, and which were passed over for what.

use std::error::Error;
use std::fmt;

/// Why no relay was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FindError {
    /// No relay that is held meets the conditions. The counts say which condition
    /// to relax; where they are all zero, no relay is held at all.
    #[non_exhaustive]
    NoRelaysAvailable {
        /// How many relays were passed over, by reason.
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

/// How many relays were passed over, by the reason that ruled each out.
///
/// Each relay counts once: under `excluded` if the call itself rules it out by its
/// id, else under what keeps it from all callers, else under its round trip.
///
/// The counts are read from counters that each change of a relay brings up to date,
/// so they cost the same however many relays there are. They are as of the moment at
/// which the call ends. While other threads change relays they may be off by those. A
/// relay that is past its deadline counts as it did before until a sweep, or a find
/// that comes upon it, has found it expired: for a tick at most, where a thread does the
/// [maintenance](crate::Maintenance). One whose back-off or ban is over is no longer
/// counted as such by the first find of that tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejections {
    /// Unregistered or expired since the relays were last sorted. The next
    /// housekeeping pass drops them.
    pub departed: usize,
    /// At their capacity.
    pub full: usize,
    /// Draining: they take no new leases.
    pub draining: usize,
    /// Failed lately, and not yet due for a trial.
    pub backing_off: usize,
    /// Banned by the operator.
    pub banned: usize,
    /// The target, this node, and those excluded by the options.
    pub excluded: usize,
    /// Measured, and beyond the maximum latency.
    pub too_far: usize,
    /// Not measured, where a maximum latency was given.
    pub unmeasured: usize,
}

impl Rejections {
    /// How many relays were passed over for any reason; those that are held, and
    /// those [departed](Self::departed) since the last sort.
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
