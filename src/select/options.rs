//! [`FindOptions`]: what a call asks for.

use std::time::Duration;

use crate::relay::NodeId;
use crate::rtt::micros_at_most;
use crate::select::peer_view::PeerView;
use crate::table::RecordRef;

/// What a call asks for, beyond a relay that is live, has room, and is neither the target nor
/// the requester nor this node.
///
/// Options can be built once and used for many calls. They allocate only if something is
/// [excluded](Self::exclude).
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
    pub(crate) requester: Option<NodeId>,
    pub(crate) requester_view: Option<PeerView>,
    pub(crate) target_view: Option<PeerView>,
    pub(crate) preference: Option<Preference>,
    pub(crate) max_spread_cost: f64,
}

/// Up to so many excluded ids are compared one by one.
const FEW: usize = 8;

/// A relay that the requester prefers to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Preference {
    pub(crate) relay: NodeId,
    pub(crate) least_gain: Duration,
    pub(crate) least_share: f64,
}

impl Preference {
    /// Whether the best path is so much shorter than the current one that the requester should
    /// change.
    pub(crate) fn is_worth_leaving(&self, current_micros: u32, best_micros: u32) -> bool {
        let gain = current_micros.saturating_sub(best_micros);
        gain >= micros_at_most(self.least_gain)
            && f64::from(gain) >= f64::from(current_micros) * self.least_share
    }
}

impl FindOptions {
    /// Whether the options have a view of either peer.
    #[inline]
    pub(crate) const fn has_views(&self) -> bool {
        self.requester_view.is_some() || self.target_view.is_some()
    }

    /// Whether a relay is excluded.
    #[inline]
    pub(crate) fn excludes(&self, record: &RecordRef<'_>) -> bool {
        match self.exclude.len() {
            ..=FEW => self.exclude.iter().any(|id| record.is_of(id)),
            _ => self.exclude.binary_search(&record.identity()).is_ok(),
        }
    }

    /// Whether the summaries of a snapshot decide alone.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        !self.has_views()
            && self.requester.is_none()
            && self.preference.is_none()
            && self.max_latency.is_none()
    }

    /// At most three results, nothing excluded, any latency, no views, no preference.
    pub const fn new() -> Self {
        Self {
            max_results: 3,
            exclude: Vec::new(),
            max_latency: None,
            allow_unmeasured: false,
            requester: None,
            requester_view: None,
            target_view: None,
            preference: None,
            max_spread_cost: 0.15,
        }
    }

    /// The most relays that `find_relays` returns, by default 3; with 0, none. Calls that
    /// return a single relay ignore it.
    pub const fn max_results(mut self, max_results: usize) -> Self {
        self.max_results = max_results;
        self
    }

    /// Relays that must not be handed out, such as those already tried. Each call of this
    /// method adds to the ones before.
    ///
    /// A find costs one more descent for each excluded relay that would have been chosen. If
    /// none is found, each excluded relay is looked up once, so that it counts as
    /// [excluded](crate::Rejections::excluded).
    pub fn exclude(mut self, ids: impl IntoIterator<Item = NodeId>) -> Self {
        self.exclude.extend(ids);
        self.exclude.sort_unstable();
        self.exclude.dedup();
        self
    }

    /// The longest eligible round trip from the requester to the relay, by default any.
    ///
    /// Relays whose round trip is unknown are not eligible, unless they are
    /// [allowed](Self::allow_unmeasured). The price of a find does not depend on the number of
    /// relays that are too far.
    pub const fn max_latency(mut self, rtt: Duration) -> Self {
        self.max_latency = Some(rtt);
        self
    }

    /// The peer that asks, if that is not this node: for a broker, which finds relays for two
    /// peers elsewhere.
    ///
    /// The relay with this id is never handed out; it counts as
    /// [excluded](crate::Rejections::excluded), as the target does. The leg from the requester to
    /// a relay is known by the view of the requester: the one in these
    /// [options](Self::requester_view), else the one that the registry
    /// [remembers](crate::Registry::update_peer). If there is neither, this leg counts as the
    /// [assumed](crate::RegistryBuilder::assumed_rtt) round trip to all relays. It is in no case
    /// what this node measured. So with a [`max_latency`](Self::max_latency), a requester of
    /// which nothing is known gets no relay, unless unmeasured ones are
    /// [allowed](Self::allow_unmeasured).
    ///
    /// With the id of this node, the requester is this node, as by default.
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, PeerView, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let [near_a, near_b] = [1, 2].map(|n| NodeId::from([n; 32]));
    /// registry.register(near_a, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// registry.register(near_b, SocketAddr::from(([198, 51, 100, 1], 4433)))?;
    ///
    /// // Each peer has told this node what it measured.
    /// let [a, b] = [8, 9].map(|n| NodeId::from([n; 32]));
    /// let ms = Duration::from_millis;
    /// let view_of_a = PeerView::new().measured(near_a, ms(5))?.measured(near_b, ms(70))?;
    /// let view_of_b = PeerView::new().measured(near_a, ms(90))?.measured(near_b, ms(6))?;
    /// registry.update_peer(&a, view_of_a);
    /// registry.update_peer(&b, view_of_b);
    ///
    /// // Which relay between a and b? 70 + 6 ms is less than 5 + 90 ms.
    /// let relay = registry.find_relay_with(&b, &FindOptions::new().requester(a))?;
    /// assert_eq!(relay.node_id(), near_b);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn requester(mut self, peer: NodeId) -> Self {
        self.requester = Some(peer);
        self
    }

    /// What the target knows of its own round trips to relays. It goes before a view of the target
    /// that the registry [remembers](crate::Registry::update_peer). Without either, the leg from
    /// each relay to the target counts as the [assumed](crate::RegistryBuilder::assumed_rtt) round
    /// trip.
    ///
    /// For relays that the view names, its round trips count. For all others the leg is
    /// estimated from the position that the registry [knows](crate::Registry::update_peer) of
    /// the relay, and the coordinate in the view, or else the relays that it names. All relays
    /// are searched.
    pub const fn target_view(mut self, view: PeerView) -> Self {
        self.target_view = Some(view);
        self
    }

    /// What a requester other than this node knows of its own round trips to relays. It goes
    /// before a view that the registry remembers of the [requester](Self::requester). By default
    /// the requester is this node, and its round trips are those that it
    /// [measured](crate::Registry::record_rtt).
    ///
    /// With a [`max_latency`](Self::max_latency), only relays that the view names are then
    /// eligible, unless unmeasured ones are allowed.
    pub const fn requester_view(mut self, view: PeerView) -> Self {
        self.requester_view = Some(view);
        self
    }

    /// A relay to keep, such as the one in use. It is handed out unless the best relay is
    /// better by at least 10 ms and a third of the path (the rule of Tailscale and iroh; see
    /// [`prefer_with`](Self::prefer_with)).
    ///
    /// A preferred relay must be eligible. If it is on trial after failures, or above nine
    /// tenths of its capacity, it is not kept. The preference counts in calls for a single relay.
    /// Among [last resorts](crate::RelayInfo::is_last_resort) the preferred relay is first.
    pub const fn prefer(mut self, relay: NodeId) -> Self {
        self.preference = Some(Preference {
            relay,
            least_gain: Duration::from_millis(10),
            least_share: 1.0 / 3.0,
        });
        self
    }

    /// How much shorter the best path must be than that of the preferred relay: by `gain`, and
    /// by a `share` of the preferred path, which is clamped to 0..=1. Call
    /// [`prefer`](Self::prefer) first; without it, this has no effect.
    ///
    /// The paths are the expected ones, without a leg that is assumed for both.
    pub fn prefer_with(mut self, gain: Duration, share: f64) -> Self {
        if let Some(preference) = &mut self.preference {
            preference.least_gain = gain;
            preference.least_share = unit_interval(share);
        }
        self
    }

    /// The share by which the path of a further result may be longer, so that it is in another
    /// failure domain than those before. By default 0.15; clamped to 0..=1. With 0, failure
    /// domains have no effect.
    ///
    /// A failure domain is an IPv4 /24, an IPv6 /48, a DNS name, or a
    /// [name](crate::RegisterOptions::failure_domain) that the relay gave. Answers of more
    /// than 32 results are not spread.
    pub fn max_spread_cost(mut self, share: f64) -> Self {
        self.max_spread_cost = unit_interval(share);
        self
    }

    /// Whether relays whose round trip is unknown are eligible with a
    /// [`max_latency`](Self::max_latency); by default not. Without one, this has no effect.
    pub const fn allow_unmeasured(mut self, allow: bool) -> Self {
        self.allow_unmeasured = allow;
        self
    }
}

/// Clamps a share to 0..=1; NaN becomes 0.
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
