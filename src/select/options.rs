//! [`FindOptions`]: what a requester asks of a relay.

use std::time::Duration;

use crate::relay::NodeId;
use crate::rtt::micros_at_most;
use crate::select::PeerView;
use crate::table::RecordRef;

/// What a requester asks of a relay, beyond that it is live, has room, and is
/// neither the target nor this node.
///
/// Options can be made once and used for many calls; making them allocates
/// only when something is [excluded](Self::exclude).
///
/// ```
/// use std::time::Duration;
/// use relay_registry::{FindOptions, NodeId};
///
/// let failed = NodeId::from([7; 32]);
/// let options = FindOptions::new()
///     .exclude([failed])
///     .max_latency(Duration::from_millis(80));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct FindOptions {
    pub(crate) max_results: usize,
    pub(crate) exclude: Vec<NodeId>,
    pub(crate) max_latency: Option<Duration>,
    pub(crate) allow_unmeasured: bool,
    pub(crate) requester_view: Option<PeerView>,
    pub(crate) target_view: Option<PeerView>,
    pub(crate) preference: Option<Preference>,
    pub(crate) max_spread_cost: f64,
}

/// So many are compared one by one.
const FEW: usize = 8;

/// A relay that the requester would rather keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Preference {
    pub(crate) relay: NodeId,
    pub(crate) least_gain: Duration,
    pub(crate) least_share: f64,
}

impl Preference {
    /// Whether a path is so much better than that of the relay in use that it
    /// pays to change.
    pub(crate) fn is_worth_leaving(&self, current_micros: u32, best_micros: u32) -> bool {
        let gain = current_micros.saturating_sub(best_micros);
        gain >= micros_at_most(self.least_gain)
            && f64::from(gain) >= f64::from(current_micros) * self.least_share
    }
}

impl FindOptions {
    /// Whether anything is known of the pair.
    #[inline]
    pub(crate) const fn has_views(&self) -> bool {
        self.requester_view.is_some() || self.target_view.is_some()
    }

    /// Whether a relay is among those excluded.
    #[inline]
    pub(crate) fn excludes(&self, record: &RecordRef<'_>) -> bool {
        match self.exclude.len() {
            ..=FEW => self.exclude.iter().any(|id| record.is_of(id)),
            _ => self.exclude.binary_search(&record.identity()).is_ok(),
        }
    }

    /// Whether relays differ in nothing but what this node knows of them.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        !self.has_views() && self.preference.is_none() && self.max_latency.is_none()
    }

    /// At most three results, nothing excluded, any latency, nothing known of
    /// the pair, no preference.
    pub const fn new() -> Self {
        Self {
            max_results: 3,
            exclude: Vec::new(),
            max_latency: None,
            allow_unmeasured: false,
            requester_view: None,
            target_view: None,
            preference: None,
            max_spread_cost: 0.15,
        }
    }

    /// How many relays `find_relays` answers with at most, by default 3; with
    /// 0, none. Calls that answer with a single relay ignore it.
    pub const fn max_results(mut self, max_results: usize) -> Self {
        self.max_results = max_results;
        self
    }

    /// Relays that must not be handed out, such as those already tried. Each
    /// call adds to the ones before.
    ///
    /// A find costs one more descent for each of them that would have been chosen.
    /// Where none is found, each excluded relay is looked up once, to be counted as
    /// [excluded](crate::Rejections::excluded).
    pub fn exclude(mut self, ids: impl IntoIterator<Item = NodeId>) -> Self {
        self.exclude.extend(ids);
        self.exclude.sort_unstable();
        self.exclude.dedup();
        self
    }

    /// The longest round trip from the requester to the relay that will do, by
    /// default any.
    ///
    /// A relay whose round trip is unknown does not meet it, unless
    /// [`allow_unmeasured`](Self::allow_unmeasured) says so. What a find costs does
    /// not depend on how many relays are too far away.
    pub const fn max_latency(mut self, rtt: Duration) -> Self {
        self.max_latency = Some(rtt);
        self
    }

    /// What the target knows of its own distance to relays, by default nothing:
    /// then the leg from each relay to it counts as the
    /// [assumed](crate::RegistryBuilder::assumed_rtt) round trip.
    ///
    /// A relay that the view names is judged by the round trip that it gives. The
    /// others are estimated between the view's coordinate, or else the nearest
    /// relay that it names, and the position that the registry
    /// [learned](crate::Registry::update_peer) of each. The search is among all relays,
    /// whether or not a call asked for peers around that place before.
    pub const fn target_view(mut self, view: PeerView) -> Self {
        self.target_view = Some(view);
        self
    }

    /// What a requester other than this node knows of its own distance to
    /// relays. By default the requester is this node, and its round trips are
    /// those that it [measured](crate::Registry::record_rtt).
    ///
    /// A [`max_latency`](Self::max_latency) is then met by relays that the view
    /// names, and by no others unless unmeasured ones are allowed.
    pub const fn requester_view(mut self, view: PeerView) -> Self {
        self.requester_view = Some(view);
        self
    }

    /// A relay to keep, such as the one in use: it is handed out unless the best
    /// is better by at least 10 ms and a third (the rule of Tailscale and iroh;
    /// see [`prefer_with`](Self::prefer_with)).
    ///
    /// It is never a reason to hand out a relay that would not be otherwise, nor
    /// one on trial after failures, nor one above nine tenths of its capacity.
    /// Counts where a single relay is asked for, and among
    /// [last resorts](crate::RelayInfo::is_last_resort), where it comes first.
    pub const fn prefer(mut self, relay: NodeId) -> Self {
        self.preference = Some(Preference {
            relay,
            least_gain: Duration::from_millis(10),
            least_share: 1.0 / 3.0,
        });
        self
    }

    /// By how much the best must be better than the preferred relay to be handed
    /// out in its place: by a time and by a share of the preferred path, which
    /// is taken to be within 0 and 1. Without a [`prefer`](Self::prefer) before
    /// it makes no difference.
    ///
    /// Compared are the expected paths, without a leg that is assumed for both.
    pub fn prefer_with(mut self, gain: Duration, share: f64) -> Self {
        if let Some(preference) = &mut self.preference {
            preference.least_gain = gain;
            preference.least_share = unit_interval(share);
        }
        self
    }

    /// How much longer the path of a further result may be, as a share, for it
    /// to be in another failure domain than those before; by default 0.15, with
    /// 0 domains do not matter. Taken to be within 0 and 1.
    ///
    /// A failure domain is an IPv4 /24, an IPv6 /48, a DNS name, or a
    /// [label](crate::RegisterOptions::failure_domain). It counts in answers of up
    /// to 32 results.
    pub fn max_spread_cost(mut self, share: f64) -> Self {
        self.max_spread_cost = unit_interval(share);
        self
    }

    /// Whether a relay whose round trip is unknown meets a
    /// [`max_latency`](Self::max_latency), by default not. Without a
    /// `max_latency` it makes no difference.
    pub const fn allow_unmeasured(mut self, allow: bool) -> Self {
        self.allow_unmeasured = allow;
        self
    }
}

/// Also for what is not a number.
fn unit_interval(share: f64) -> f64 {
    if share > 0.0 { share.min(1.0) } else { 0.0 }
}

impl Default for FindOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_ask_for_little() {
        let options = FindOptions::default();
        assert_eq!(options, FindOptions::new());
        assert_eq!(options.max_results, 3);
        assert_eq!(options.exclude, []);
        assert_eq!(options.exclude.capacity(), 0);
        assert_eq!(options.max_latency, None);
        assert!(!options.allow_unmeasured);
    }

    #[test]
    fn exclusions_add_up() {
        let [a, b, c] = [1, 2, 3].map(|n| NodeId::from([n; 32]));
        let options = FindOptions::new().exclude([a]).exclude(vec![b, c]);
        assert_eq!(options.exclude, [a, b, c]);
    }

    #[test]
    fn each_setter_sets_its_own_field_and_the_last_call_wins() {
        let options = FindOptions::new()
            .max_results(1)
            .max_results(0)
            .max_latency(Duration::from_millis(80))
            .allow_unmeasured(true);
        assert_eq!(options.max_results, 0);
        assert_eq!(options.max_latency, Some(Duration::from_millis(80)));
        assert!(options.allow_unmeasured);
        assert!(!options.allow_unmeasured(false).allow_unmeasured);
    }
}
