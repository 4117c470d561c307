//! [`Explanation`]: which relays would be handed out, which not, and why.

use crate::errors::Rejections;
use crate::relay::{CircuitState, Endpoint, Label, NodeId, Rejection};
use crate::select::candidate::Candidate;
use crate::select::options::FindOptions;
use crate::select::path::Leg;
use crate::select::search::Search;
use crate::sync::Arc;
use crate::table::snapshot::{Weight, penalty};
use crate::table::{LiveRecord, RecordRef};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// For every relay, whether it would be handed out now, and why: the result of
/// [`Registry::explain`](crate::Registry::explain).
///
/// Relays that would be handed out are first. Those follow that are worse, or only of a higher
/// tier, and then those that are not eligible for another reason; each group by tier, and the
/// best first.
///
/// It displays as a table: a summary, what the call asked for, what the columns mean, and a line
/// for each relay. A precision limits the relays that are shown: `{:.20}` writes the first 20.
/// Ids are cut to as many digits as tell them apart from all others of the explanation, at least
/// 8. What is at its default for the call is left out of the summary. Tiers, costs and labels
/// have a column only if any relay has one.
///
/// ```
/// use relay_registry::{FindOptions, NodeId, RegisterOptions, Registry};
/// # use std::net::SocketAddr;
/// use std::time::Duration;
///
/// let registry = Registry::new();
/// for (n, rtt, load) in [(1, 12, 40), (2, 80, 0), (3, 10, 100), (4, 90, 5)] {
///     let relay = NodeId::from([n; 32]);
///     let options = RegisterOptions::new().latency(Duration::from_millis(rtt));
///     let endpoint = SocketAddr::from(([192, 0, 2, n], 4433));
///     registry.register_with(relay, endpoint, &options)?;
///     registry.report_load(&relay, load);
/// }
/// registry.set_draining(&NodeId::from([4; 32]), true)?;
///
/// let target = NodeId::from_bytes(&[9; 4])?;
/// let explanation = registry.explain(&target, &FindOptions::new().max_results(1));
/// assert_eq!(explanation.eligible(), 2);
/// assert_eq!(
///     format!("{explanation:.3}"),
///     "\
/// path to 09090909: 4 relays, 2 eligible; 1 full, 1 draining
/// asked for: at most 1 result
/// a leg: requester to relay, b leg: relay to target, round trips in ms; \
/// score: (a + b) x penalty for load, less is better
/// relay      endpoint          load  circuit           a leg            b leg  penalty  score  verdict
/// 01010101…  192.0.2.1:4433  40/100  closed   12.0 measured   100.0 assumed       1.03  114.9  chosen
/// 02020202…  192.0.2.2:4433   0/100  closed   80.0 measured   100.0 assumed       1.00  180.0  worse
/// 04040404…  192.0.2.4:4433   5/100  closed   90.0 measured   100.0 assumed       1.00  190.0  draining
/// ... and 1 more
/// "
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A call with options, where relays have labels, tiers and costs:
///
/// ```
/// use relay_registry::{FindOptions, IpFamily, NodeId, RegisterOptions, Registry};
/// # use std::net::SocketAddr;
///
/// let registry = Registry::new();
/// let plain = RegisterOptions::new;
/// for (n, options) in [
///     (1, plain().labels(["eu", "udp"])),
///     (2, plain().labels(["eu", "udp", "tcp-443", "hardware-aes"]).cost(1.5)),
///     (3, plain().labels(["udp"]).tier(1)),
///     (4, plain()),
/// ] {
///     let endpoint = SocketAddr::from(([192, 0, 2, n], 4433));
///     registry.register_with(NodeId::from([n; 32]), endpoint, &options)?;
/// }
///
/// let target = NodeId::from_bytes(&[9; 4])?;
/// let options = FindOptions::new()
///     .requester(NodeId::from_bytes(&[8; 4])?)
///     .require(["udp"])
///     .family(IpFamily::V4)
///     .units(4)
///     .max_results(1);
/// let explanation = registry.explain(&target, &options);
/// assert_eq!((explanation.target(), explanation.options()), (target, &options));
/// assert_eq!((explanation.eligible(), explanation.rejections().total()), (2, 2));
/// assert!(explanation.relays()[0].labels().eq(["eu", "udp"]));
/// assert_eq!(
///     explanation.to_string(),
///     "\
/// path to 09090909: 4 relays, 2 eligible; 1 with other labels, 1 of a higher tier
/// asked for: at most 1 result; requester 08080808; 4 units; label \"udp\"; over IPv4
/// a leg: requester to relay, b leg: relay to target, round trips in ms; \
/// score: (a + b) x penalty for load and cost, less is better; labels: +n for n more; \
/// tier: lower ones go first; full: fewer than 4 units are free
/// relay      endpoint        labels                tier  cost   load  circuit            a leg            b leg  penalty  score  verdict
/// 01010101…  192.0.2.1:4433  eu, udp                  0     1  0/100  closed   100.0 assumed    100.0 assumed       1.00  200.0  chosen
/// 02020202…  192.0.2.2:4433  eu, hardware-aes, +2     0   1.5  0/100  closed   100.0 assumed    100.0 assumed       1.50  300.0  worse
/// 03030303…  192.0.2.3:4433  udp                      1     1  0/100  closed   100.0 assumed    100.0 assumed       1.00  200.0  of a higher tier
/// 04040404…  192.0.2.4:4433  -                        0     1  0/100  closed   100.0 assumed    100.0 assumed       1.00  200.0  with other labels
/// "
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    target: NodeId,
    options: FindOptions,
    relays: Vec<Explained>,
}

/// One relay in an [`Explanation`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Explained {
    /// The relay.
    pub relay: NodeId,
    /// Whether it would be handed out, or why not.
    pub verdict: Verdict,
    /// Where the relay listens.
    pub endpoint: Endpoint,
    /// Its load: the units in leases of this registry, and what others put there by the last
    /// report.
    pub load: u32,
    /// How many units it has: the most that all leases on it may have at a time.
    pub capacity: u32,
    /// The expected round trip from the requester to the relay.
    pub requester_leg: Duration,
    /// How that leg is known.
    pub requester_leg_source: LegSource,
    /// The expected round trip from the relay to the target.
    pub target_leg: Duration,
    /// How that leg is known.
    pub target_leg_source: LegSource,
    /// Load over capacity.
    pub utilisation: f64,
    /// The state of its circuit breaker.
    pub circuit: CircuitState,
    /// The factor on the path for the load and the [cost](crate::RegisterOptions::cost):
    /// `cost / (1 - u^4)`, with the utilisation `u`, during a
    /// [slow start](crate::RegistryBuilder::slow_start) that of the part of the capacity which
    /// counts; infinite for a relay that is full.
    pub penalty: f64,
    /// Its tier: what the operator [set](crate::Registry::set_tier), else what it
    /// [registered with](crate::RegisterOptions::tier), by default 0.
    pub tier: u8,
    /// Its cost: what the operator [set](crate::Registry::set_cost), else what it
    /// [registered with](crate::RegisterOptions::cost), by default 1.
    pub cost: f64,
    pub(crate) labels: Option<Arc<[Label]>>,
}

/// Whether a relay would be handed out, or why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// It would be handed out: the best, or one of the best that were asked for.
    Chosen,
    /// It would be handed out: the preferred one, and no other is sufficiently better.
    Kept,
    /// It would be handed out as a last resort: it failed lately, and so did all others that
    /// would be eligible.
    LastResort,
    /// It is eligible, but others are better or, in an answer of several, in other failure
    /// domains.
    Worse,
    /// It is of a higher tier than those that would be handed out. It would be eligible if no
    /// relay of a lower tier were.
    Tier,
    /// It left or expired.
    Departed,
    /// It is the target, the requester, this node, or excluded.
    Excluded,
    /// The operator banned it.
    Banned,
    /// It failed lately, and is not yet due for a trial.
    BackingOff,
    /// It takes no new leases.
    Draining,
    /// All its units are taken, or fewer are free than the call
    /// [asks for](crate::FindOptions::units).
    Full,
    /// It was measured, and is beyond the maximum latency of the call.
    TooFar,
    /// It was not measured, and the call has a maximum latency.
    Unmeasured,
    /// It lacks a label that the call requires, or has one that the call avoids.
    Labels,
    /// It is not reachable over the family that the call asks for.
    Family,
}

/// How a leg of a path is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LegSource {
    /// This node measured it.
    Measured,
    /// The peer at its end measured it.
    Published,
    /// Estimated between network coordinates.
    Estimated,
    /// Nothing is known of it; it counts as the assumed round trip.
    Assumed,
}

impl Explained {
    /// The expected round trip of the whole path.
    #[must_use]
    pub fn path(&self) -> Duration {
        self.requester_leg + self.target_leg
    }

    /// The [labels](crate::RegisterOptions::labels) of the relay, in the order of their bytes.
    pub fn labels(&self) -> impl ExactSizeIterator<Item = &str> + Clone {
        let labels = self.labels.as_deref().unwrap_or_default();
        labels.iter().map(|label| &*label.name)
    }

    /// The score in milliseconds, lower is better: the path times the penalty.
    #[must_use]
    pub fn score_ms(&self) -> f64 {
        self.path().as_secs_f64() * 1e3 * self.penalty
    }

    fn by_score(&self, other: &Self) -> Ordering {
        let scores = self.score_ms().partial_cmp(&other.score_ms());
        let scores = scores.unwrap_or(Ordering::Equal);
        scores.then_with(|| self.relay.cmp(&other.relay))
    }
}

impl Explanation {
    /// The target of the path.
    #[must_use]
    pub fn target(&self) -> NodeId {
        self.target
    }

    /// What the call asked for.
    pub fn options(&self) -> &FindOptions {
        &self.options
    }

    /// How many relays are eligible: those that would be handed out, but for last resorts, and
    /// those that are worse.
    #[must_use]
    pub fn eligible(&self) -> usize {
        self.relays.len() - self.rejections().total()
    }

    /// How many relays are not eligible, by reason. A last resort counts as backing off.
    #[must_use]
    pub fn rejections(&self) -> Rejections {
        let mut rejections = Rejections::default();
        for reason in self.relays.iter().filter_map(|it| it.verdict.rejection()) {
            *rejections.count_mut(reason) += 1;
        }
        rejections
    }

    /// All relays, those that would be handed out first.
    #[must_use]
    pub fn relays(&self) -> &[Explained] {
        &self.relays
    }

    /// The relays that would be handed out, best first.
    pub fn chosen(&self) -> impl Iterator<Item = &Explained> {
        self.relays
            .iter()
            .filter(|explained| explained.verdict.is_handed_out())
    }

    /// The explanation of one relay.
    #[must_use]
    pub fn of(&self, relay: &NodeId) -> Option<&Explained> {
        self.relays
            .iter()
            .find(|explained| explained.relay == *relay)
    }
}

impl Verdict {
    /// Whether the relay would be handed out.
    #[must_use]
    pub fn is_handed_out(self) -> bool {
        matches!(self, Self::Chosen | Self::Kept | Self::LastResort)
    }

    /// Why the relay is not eligible, if it is not.
    fn rejection(self) -> Option<Rejection> {
        match self {
            Self::Chosen | Self::Kept | Self::Worse => None,
            Self::Departed => Some(Rejection::Departed),
            Self::Excluded => Some(Rejection::Excluded),
            Self::Banned => Some(Rejection::Banned),
            Self::BackingOff | Self::LastResort => Some(Rejection::BackingOff),
            Self::Draining => Some(Rejection::Draining),
            Self::Full => Some(Rejection::Full),
            Self::TooFar => Some(Rejection::TooFar),
            Self::Unmeasured => Some(Rejection::Unmeasured),
            Self::Labels => Some(Rejection::Labels),
            Self::Family => Some(Rejection::Family),
            Self::Tier => Some(Rejection::Tier),
        }
    }

    /// Relays with a lower rank are listed first.
    fn rank(self) -> u8 {
        if self.is_handed_out() {
            0
        } else if matches!(self, Self::Worse | Self::Tier) {
            1
        } else {
            2
        }
    }
}

impl Search<'_> {
    /// Evaluates every relay exactly for a path to the target, and hands none out.
    pub(crate) fn explain(&self, target: &NodeId, count: usize) -> Explanation {
        self.refresh_lapsed_rtts();
        let chosen = self.chosen(count);
        let positions: HashMap<NodeId, usize> = (0..)
            .zip(&chosen)
            .map(|(position, (relay, ..))| (*relay, position))
            .collect();
        let position = |relay: &NodeId| positions.get(relay).copied();
        // The highest tier of those that would be handed out.
        let highest = chosen.iter().map(|(_, tier, _)| *tier).max().unwrap_or(0);
        let explain_one = |record: RecordRef<'_>| {
            let is_chosen = position(&record.identity());
            let verdict = match (is_chosen, self.scope.criteria.evaluate(&record)) {
                (Some(position), _) => chosen[position].2,
                (None, Ok(_)) if record.tier() > highest => Verdict::Tier,
                (None, Ok(_)) => Verdict::Worse,
                (None, Err(reason)) => reason.into(),
            };
            Some(self.explained(&record.observe_live()?, verdict))
        };
        let mut relays: Vec<Explained> = self.records().filter_map(explain_one).collect();
        relays.sort_by(|one, other| {
            let order = |it: &Explained| (it.verdict.rank(), position(&it.relay), it.tier);
            order(one)
                .cmp(&order(other))
                .then_with(|| one.by_score(other))
        });
        relays.dedup_by_key(|explained| explained.relay);
        Explanation {
            target: *target,
            options: self.scope.criteria.options.clone(),
            relays,
        }
    }

    fn explained(&self, record: &LiveRecord<'_>, verdict: Verdict) -> Explained {
        let load = record.announced_load();
        let legs = self.scope.criteria.legs(record);
        let (tier, cost) = record.tier_and_cost();
        let details = &record.announcement().details;
        Explained {
            relay: record.identity(),
            verdict,
            endpoint: record.announcement().endpoint.clone(),
            load: load.total(),
            capacity: load.capacity(),
            requester_leg: Duration::from_micros(legs.requester.micros().into()),
            requester_leg_source: legs.requester.into(),
            target_leg: Duration::from_micros(legs.target.micros().into()),
            target_leg_source: legs.target.into(),
            utilisation: load.utilisation().into(),
            circuit: record.circuit().public_state(self.scope.criteria.tick),
            penalty: penalty(load, record.weight().unwrap_or(Weight::PLAIN)).into(),
            tier,
            cost: cost.factor(),
            labels: details.as_ref().and_then(|details| details.labels.clone()),
        }
    }

    /// The relays that would be handed out, and their verdicts.
    fn chosen(&self, count: usize) -> Vec<(NodeId, u8, Verdict)> {
        let chosen = |candidate: &Candidate<'_>, verdict| {
            let record = &candidate.record;
            (record.identity(), record.tier(), verdict)
        };
        let tiers = self.sorted();
        let Some(best) = best_of(&tiers) else {
            let last_resort = self.last_resort().into_iter();
            return last_resort
                .map(|candidate| chosen(&candidate, Verdict::LastResort))
                .collect();
        };
        if count <= 1 {
            return vec![match self.preferred_over(&best) {
                Some(kept) => chosen(&kept, Verdict::Kept),
                None => chosen(&best, Verdict::Chosen),
            }];
        }
        let mut all = Vec::new();
        for (_, pool) in tiers {
            self.spread(pool, count, true, &mut all);
        }
        let verdict = |candidate| chosen(candidate, Verdict::Chosen);
        all.iter().map(verdict).collect()
    }
}

/// The best relay of the lowest tier.
fn best_of<'g>(tiers: &[(u8, Vec<Candidate<'g>>)]) -> Option<Candidate<'g>> {
    let (tier, pool) = tiers.first()?;
    Some(pool.first()?.in_tier(*tier))
}

impl From<Rejection> for Verdict {
    fn from(reason: Rejection) -> Self {
        match reason {
            Rejection::Departed => Self::Departed,
            Rejection::Excluded => Self::Excluded,
            Rejection::Banned => Self::Banned,
            Rejection::BackingOff => Self::BackingOff,
            Rejection::Draining => Self::Draining,
            Rejection::Full => Self::Full,
            Rejection::TooFar => Self::TooFar,
            Rejection::Unmeasured => Self::Unmeasured,
            Rejection::Labels => Self::Labels,
            Rejection::Family => Self::Family,
            Rejection::Tier => Self::Tier,
        }
    }
}

impl From<Leg> for LegSource {
    fn from(leg: Leg) -> Self {
        match leg {
            Leg::Measured(_) => Self::Measured,
            Leg::Published(_) => Self::Published,
            Leg::Estimated(_) => Self::Estimated,
            Leg::Assumed(_) => Self::Assumed,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Chosen => "chosen",
            Self::Kept => "chosen: preferred, and none is so much better",
            Self::LastResort => "chosen: last resort",
            other => other.rejection().map_or("worse", Rejection::name),
        })
    }
}

impl fmt::Display for LegSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Measured => "measured",
            Self::Published => "published",
            Self::Estimated => "estimated",
            Self::Assumed => "assumed",
        })
    }
}
