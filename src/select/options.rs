//! [`FindOptions`]: what a call asks for.

mod asked;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::time::Duration;

use crate::relay::{Filter, IpFamily, NodeId, Rejection};
use crate::rtt::micros_at_most;
use crate::select::peer_view::PeerView;
use crate::sync::Arc;
use crate::table::record::Announcement;
use crate::table::{LiveRecord, RecordRef};

/// What a call asks for, beyond a relay that is live, has room, and is neither the target nor
/// the requester nor this node.
///
/// Build them once, and pass a reference: each call takes `&FindOptions`. Building allocates only
/// if something is [excluded](Self::exclude), or a [label](Self::require) or
/// [family](Self::family) asked for. A find or a reservation allocates nothing for them.
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
    /// `None` if it admits all relays.
    pub(crate) filter: Option<Arc<Filter>>,
    /// Sorted, each once.
    pub(crate) exclude_domains: Vec<Box<str>>,
    /// Whether there is a filter or an excluded domain.
    pub(crate) is_filtered: bool,
    pub(crate) units: NonZeroU32,
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
    /// What must be gained, unless the options say otherwise: in time, and as a share of the path.
    pub(crate) const LEAST_GAIN: Duration = Duration::from_millis(10);
    pub(crate) const LEAST_SHARE: f64 = 1.0 / 3.0;

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
    #[inline(always)]
    pub(crate) fn excludes(&self, record: &RecordRef<'_>) -> bool {
        !self.exclude.is_empty() && self.lists(record)
    }

    fn lists(&self, record: &RecordRef<'_>) -> bool {
        match self.exclude.len() {
            ..=FEW => self.exclude.iter().any(|id| record.is_of(id)),
            _ => self.exclude.binary_search(&record.identity()).is_ok(),
        }
    }

    /// Whether what a relay announces decides whether it is eligible.
    #[inline]
    pub(crate) const fn is_filtered(&self) -> bool {
        self.is_filtered
    }

    /// Whether a relay announces what the call asks for, if it asks for anything of that.
    #[inline(always)]
    pub(crate) fn check_terms(&self, live: &LiveRecord<'_>) -> Result<(), Rejection> {
        match self.is_filtered {
            true => self.check_announcement(live.announcement()),
            false => Ok(()),
        }
    }

    #[cold]
    fn check_announcement(&self, announcement: &Announcement) -> Result<(), Rejection> {
        if self.excludes_domain_of(announcement) {
            return Err(Rejection::Excluded);
        }
        if let Some(filter) = &self.filter {
            if !filter.admits_labels(announcement.labels()) {
                return Err(Rejection::Labels);
            }
            if !filter.admits_endpoints(announcement.endpoints()) {
                return Err(Rejection::Family);
            }
        }
        Ok(())
    }

    /// Whether the failure domain of a relay is excluded.
    fn excludes_domain_of(&self, announcement: &Announcement) -> bool {
        let is_listed = |name: &str| {
            let names = &self.exclude_domains;
            names
                .binary_search_by(|listed| (**listed).cmp(name))
                .is_ok()
        };
        announcement.failure_domain().is_some_and(is_listed)
    }

    /// Whether the summaries name the likely answer; its record is then checked.
    #[inline]
    pub(crate) const fn is_plain(&self) -> bool {
        self.is_plain_but_for_filters() && !self.is_filtered
    }

    /// The same, with the trees over the relays that announce what the call asks for.
    #[inline]
    pub(crate) const fn is_plain_but_for_filters(&self) -> bool {
        !self.has_views()
            && self.requester.is_none()
            && self.preference.is_none()
            && self.max_latency.is_none()
    }

    /// Asks for nothing: at most three results, one unit.
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
            filter: None,
            exclude_domains: Vec::new(),
            is_filtered: false,
            units: NonZeroU32::MIN,
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
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let [one, other, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// for (relay, host) in [(one, 1), (other, 2)] {
    ///     registry.register(relay, SocketAddr::from(([192, 0, 2, host], 4433)))?;
    /// }
    /// let tried = registry.find_relay(&target)?.node_id();
    /// let next = registry.find_relay_with(&target, &FindOptions::new().exclude([tried]))?;
    /// assert_ne!(next.node_id(), tried);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exclude(mut self, ids: impl IntoIterator<Item = NodeId>) -> Self {
        self.exclude.extend(ids);
        self.exclude.sort_unstable();
        self.exclude.dedup();
        self
    }

    /// Failure domains whose relays must not be handed out, such as that of a relay which just
    /// failed. Each call of this method adds to the ones before.
    ///
    /// Only [names](crate::RegisterOptions::failure_domain) that relays gave count here, not their
    /// networks, which count for [standbys](Self::max_spread_cost). Each relay of these domains
    /// that would have been chosen costs a find one more look at a relay. There are no trees for
    /// that, as for [labels](Self::require): domains are for what has just failed, and a kind of
    /// relay is a label.
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let [one, other, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// for (relay, rack, host) in [(one, "rack-7", 1), (other, "rack-8", 2)] {
    ///     let options = RegisterOptions::new().failure_domain(rack);
    ///     registry.register_with(relay, SocketAddr::from(([192, 0, 2, host], 4433)), &options)?;
    /// }
    /// let options = FindOptions::new().exclude_domains(["rack-7"]);
    /// assert_eq!(registry.find_relay_with(&target, &options)?.node_id(), other);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exclude_domains(mut self, domains: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let domains = domains.into_iter().map(|name| name.as_ref().into());
        self.exclude_domains.extend(domains);
        self.exclude_domains.sort_unstable();
        self.exclude_domains.dedup();
        self.is_filtered |= !self.exclude_domains.is_empty();
        self
    }

    /// Labels that a relay must have: all of them. Each call of this method adds to the ones
    /// before.
    ///
    /// A label that no relay can have, such as one that is too long, is no error. If it is
    /// required, no relay is found; if it is avoided, that excludes none.
    ///
    /// # Cost
    ///
    /// A *filter* is what is required, what is [avoided](Self::avoid) and the
    /// [family](Self::family), together. The registry has search trees for the first 16
    /// different filters that calls ask for, and keeps them. With these trees a find costs about
    /// what one without a filter costs, however many relays do not pass. It gets them by
    /// maintenance: the first call notes the filter, a [pass](crate::Maintenance) computes which
    /// relays pass, and the merge that follows makes the trees. Until then, with any further
    /// filter, and if there was no memory, each relay that does not pass and would have been
    /// chosen costs a find one more look at a relay. A search for a [last
    /// resort](crate::RelayInfo::is_last_resort) has no such trees.
    ///
    /// So ask for few different filters, and never build them from what peers send: 16 different
    /// ones use up the trees for as long as the registry lives.
    ///
    /// Which memory these trees take is said under [search
    /// trees](crate::guide::choosing#search-trees). Each change of a relay that passes updates
    /// them, too.
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let [one, other, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// for (relay, labels, host) in [(one, ["tcp", "eu"], 1), (other, ["udp", "eu"], 2)] {
    ///     let options = RegisterOptions::new().labels(labels);
    ///     registry.register_with(relay, SocketAddr::from(([192, 0, 2, host], 4433)), &options)?;
    /// }
    /// let options = FindOptions::new().require(["udp"]);
    /// assert_eq!(registry.find_relay_with(&target, &options)?.node_id(), other);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn require(mut self, labels: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.change_filter(|filter| filter.require(labels));
        self
    }

    /// Labels that a relay must not have: none of them. Each call of this method adds to the
    /// ones before. Costs as [`require`](Self::require).
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    ///
    /// let registry = Registry::new();
    /// let [metered, other, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// let options = RegisterOptions::new().labels(["metered"]);
    /// registry.register_with(metered, SocketAddr::from(([192, 0, 2, 1], 4433)), &options)?;
    /// registry.register(other, SocketAddr::from(([192, 0, 2, 2], 4433)))?;
    ///
    /// let options = FindOptions::new().avoid(["metered"]);
    /// assert_eq!(registry.find_relay_with(&target, &options)?.node_id(), other);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn avoid(mut self, labels: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.change_filter(|filter| filter.avoid(labels));
        self
    }

    /// The family over which a relay must be reachable, by default any: by an endpoint with an
    /// address of that family, or with a name, which may resolve to one. [Further
    /// endpoints](crate::RegisterOptions::also_at) count, too. Costs as
    /// [`require`](Self::require).
    ///
    /// ```
    /// use relay_registry::{Endpoint, FindOptions, IpFamily, NodeId, RegisterOptions, Registry};
    ///
    /// let registry = Registry::new();
    /// let [one, other, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// registry.register(one, "192.0.2.1:4433".parse::<Endpoint>()?)?;
    /// let also_over_v6 = RegisterOptions::new().also_at(["[2001:db8::2]:4433".parse::<Endpoint>()?]);
    /// registry.register_with(other, "192.0.2.2:4433".parse::<Endpoint>()?, &also_over_v6)?;
    ///
    /// let options = FindOptions::new().family(IpFamily::V6);
    /// assert_eq!(registry.find_relay_with(&target, &options)?.node_id(), other);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn family(mut self, family: IpFamily) -> Self {
        self.change_filter(|filter| filter.set_family(family));
        self
    }

    /// A filter that admits all relays is none: it takes no trees.
    fn change_filter(&mut self, change: impl FnOnce(&mut Filter)) {
        let mut filter = self.filter.take().unwrap_or_default();
        change(Arc::make_mut(&mut filter));
        self.filter = (*filter != Filter::default()).then_some(filter);
        self.is_filtered |= self.filter.is_some();
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

    /// What the target knows of its own round trips to relays. It overrides a view of the target
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

    /// What a requester other than this node knows of its own round trips to relays. It overrides
    /// a view that the registry remembers of the [requester](Self::requester). By default the
    /// requester is this node, and its round trips are those that it
    /// [measured](crate::Registry::record_rtt).
    ///
    /// With a [`max_latency`](Self::max_latency), only relays that the view names are then
    /// eligible, unless unmeasured ones are allowed.
    pub const fn requester_view(mut self, view: PeerView) -> Self {
        self.requester_view = Some(view);
        self
    }

    /// A relay to keep, such as the one in use. It is handed out unless the best relay is
    /// better by at least 10 ms and a third of the path (the rule of Tailscale; iroh has the
    /// third; see [`prefer_with`](Self::prefer_with)).
    ///
    /// The preferred relay is kept only if it is eligible and no relay of a lower tier is. It is
    /// not kept while it is on trial after failures (but see
    /// [`find_home_relay`](crate::Registry::find_home_relay)), or if its load is above nine tenths
    /// of its capacity.
    ///
    /// Only round trips are compared. Costs do not count here, and load does only above nine tenths
    /// of the capacity. To move callers off a relay, [drain](crate::Registry::set_draining) it, or
    /// [give](crate::Registry::set_tier) it a higher tier than that of another one.
    ///
    /// The preference counts in calls for a single relay. Among [last
    /// resorts](crate::RelayInfo::is_last_resort) the preferred relay is first.
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let [near, far, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// for (relay, host, ms) in [(near, 1, 20), (far, 2, 28)] {
    ///     registry.register(relay, SocketAddr::from(([192, 0, 2, host], 4433)))?;
    ///     registry.record_rtt(&relay, Duration::from_millis(ms));
    /// }
    /// assert_eq!(registry.find_relay(&target)?.node_id(), near);
    /// // The other one is in use, and 8 ms are no reason to change.
    /// let options = FindOptions::new().prefer(far);
    /// assert_eq!(registry.find_relay_with(&target, &options)?.node_id(), far);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn prefer(mut self, relay: NodeId) -> Self {
        self.preference = Some(Preference {
            relay,
            least_gain: Preference::LEAST_GAIN,
            least_share: Preference::LEAST_SHARE,
        });
        self
    }

    /// How much shorter the best path must be than that of the preferred relay: by `gain`, and
    /// by a `share` of the preferred path, which is clamped to 0..=1. Call
    /// [`prefer`](Self::prefer) first; without it, this has no effect.
    ///
    /// The paths are the expected ones, without a leg that is assumed for both.
    ///
    /// ```
    /// use relay_registry::{FindOptions, NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let [near, far, target] = [1, 2, 9].map(|n| NodeId::from([n; 32]));
    /// for (relay, host, ms) in [(near, 1, 20), (far, 2, 28)] {
    ///     registry.register(relay, SocketAddr::from(([192, 0, 2, host], 4433)))?;
    ///     registry.record_rtt(&relay, Duration::from_millis(ms));
    /// }
    /// // 8 ms are enough to change, and they are more than a tenth of 28 ms.
    /// let options = FindOptions::new().prefer(far).prefer_with(Duration::from_millis(5), 0.1);
    /// assert_eq!(registry.find_relay_with(&target, &options)?.node_id(), near);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn prefer_with(mut self, gain: Duration, share: f64) -> Self {
        if let Some(preference) = &mut self.preference {
            preference.least_gain = gain;
            preference.least_share = unit_interval(share);
        }
        self
    }

    /// The share by which the path of a further result may be longer, so that it is in another
    /// failure domain than those before. By default 0.15; clamped to 0..=1. With 0, the
    /// score alone decides.
    ///
    /// If there is no such relay at this cost, the next result is the best one on another machine
    /// than the results before it, whatever it costs. A machine is an IP address or a name; that of
    /// each endpoint of a relay counts. A relay on the machine of an earlier result follows only if
    /// the search meets no other one that did not fail lately. For up to four machines the search
    /// looks at up to 16 relays beyond the answer.
    ///
    /// Here a failure domain is an IPv4 /24, an IPv6 /48, a DNS name, or a
    /// [name](crate::RegisterOptions::failure_domain) that the relay gave. [Further
    /// endpoints](crate::RegisterOptions::also_at) count as the main one does. Answers of more than
    /// 32 results are not spread.
    pub fn max_spread_cost(mut self, share: f64) -> Self {
        self.max_spread_cost = unit_interval(share);
        self
    }

    /// How many units of capacity a [lease](crate::Registry::reserve) takes, all from one relay
    /// and all or none; by default 1, and 0 counts as 1. Relays with fewer free units are not
    /// eligible, in finds either, and count as [full](crate::Rejections::full). More than
    /// [`MAX_CAPACITY`](crate::MAX_CAPACITY) is no error: then no relay is eligible.
    ///
    /// ```
    /// # use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
    /// # use std::net::SocketAddr;
    /// let registry = Registry::new();
    /// let relay = NodeId::from([1; 32]);
    /// let room_for_ten = RegisterOptions::new().capacity(10);
    /// registry.register_with(relay, SocketAddr::from(([192, 0, 2, 1], 4433)), &room_for_ten)?;
    ///
    /// // A conference of six, for which the relay has to have room as a whole.
    /// let six = FindOptions::new().units(6);
    /// let conference = registry.reserve(&NodeId::from([9; 32]), &six)?;
    /// assert_eq!(conference.units(), 6);
    /// assert_eq!(registry.relay(&relay).unwrap().current_load(), 6);
    /// assert!(registry.reserve(&NodeId::from([9; 32]), &six).is_err());
    /// drop(conference);
    /// assert_eq!(registry.relay(&relay).unwrap().current_load(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Scores do not depend on the units: they go by the load as it is.
    ///
    /// # Cost
    ///
    /// The price of a find that ends in "none" does not depend on how many relays have too few
    /// units. For that, the registry counts free units in further [search
    /// trees](crate::guide::choosing#search-trees). It counts up to the most that calls have asked
    /// for, rounded up to a power of two. This number is never lowered.
    ///
    /// No call waits for these trees. The [maintenance](crate::Maintenance) pass after the first
    /// such call that had to search makes them, or a later one if a thread is inside a call. (A
    /// call that is answered at once does not ask for them, and
    /// [`lease_units`](crate::Registry::lease_units) never does.) Until then, and for relays that
    /// arrived meanwhile, calls for several units visit the relays that have any free. From then on
    /// each lease and release on a relay with fewer free units than that number writes to the
    /// trees. A registry whose calls all ask for one unit has no such trees.
    pub const fn units(mut self, units: u32) -> Self {
        self.units = match NonZeroU32::new(units) {
            Some(units) => units,
            None => NonZeroU32::MIN,
        };
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
