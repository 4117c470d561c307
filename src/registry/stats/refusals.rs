//! [`Refusals`]: how many calls found no relay, and why.

use crate::registry::call_counts::CallTotals;
use crate::relay::Rejection;

/// How many calls that looked for a relay found none, by their main reason.
///
/// The main reason of a call is the one for which most relays were rejected: the greatest of
/// the [counts](crate::Rejections) of its error, and of several such counts the one that comes
/// first there. So each call counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Refusals {
    /// No relay was registered, nor had one of those departed that were last sorted.
    pub no_relays: u64,
    /// Most were unregistered or had expired since they were last sorted.
    pub departed: u64,
    /// Most had too few free units.
    pub full: u64,
    /// Most were draining.
    pub draining: u64,
    /// Most had failed lately, and were not yet due for a trial.
    pub backing_off: u64,
    /// Most were banned by the operator.
    pub banned: u64,
    /// Most were excluded by the call.
    pub excluded: u64,
    /// Most lacked a label that the call required, or had one that it avoided.
    pub labels: u64,
    /// Most were not reachable over the address family that the call asked for.
    pub family: u64,
    /// Most were beyond the maximum latency of the call.
    pub too_far: u64,
    /// Most were not measured, and the call had a maximum latency.
    pub unmeasured: u64,
    /// Most were of a higher tier than an eligible relay. Zero: such a call finds that relay.
    pub tier: u64,
}

impl Refusals {
    pub(super) fn of(totals: &CallTotals) -> Self {
        Self {
            no_relays: totals.refused_without_relays(),
            departed: totals.refused_for(Rejection::Departed),
            full: totals.refused_for(Rejection::Full),
            draining: totals.refused_for(Rejection::Draining),
            backing_off: totals.refused_for(Rejection::BackingOff),
            banned: totals.refused_for(Rejection::Banned),
            excluded: totals.refused_for(Rejection::Excluded),
            labels: totals.refused_for(Rejection::Labels),
            family: totals.refused_for(Rejection::Family),
            too_far: totals.refused_for(Rejection::TooFar),
            unmeasured: totals.refused_for(Rejection::Unmeasured),
            tier: totals.refused_for(Rejection::Tier),
        }
    }

    /// The calls that found no relay, for any reason.
    #[must_use]
    pub fn total(&self) -> u64 {
        let &Self {
            no_relays,
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
        let of_state = departed + full + draining + backing_off + banned;
        let of_call = excluded + labels + family + too_far + unmeasured + tier;
        no_relays + of_state + of_call
    }
}
