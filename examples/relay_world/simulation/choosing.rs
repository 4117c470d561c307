//! How each rule chooses a relay for a request.
//!
//! The registry's own rule is one call of the registry. The other rules read what the requester's
//! registry knows of its relays, or the true state for the oracle, and then lease the relay that they
//! chose. Random numbers are from this thread's generator, as for the registry. So the same seed gives the
//! same relays, requests and sessions for every rule.

use relay_registry::{FindOptions, Lease, NodeId, PeerView, RelayInfo};

use super::Simulation;

/// The assumed round trip of an unmeasured leg in ms, as in the registry.
pub const ASSUMED_MS: f32 = 100.0;

/// A rule that chooses a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The registry's own choice.
    Registry,
    /// Any relay with room, with equal probability.
    Random,
    /// The relay with room that is nearest to the requester.
    Nearest,
    /// The less utilised of two random relays with room (Mitzenmacher's power of two choices).
    PowerOfTwo,
    /// The registry's score with full knowledge: the whole path, the current load, and only relays that
    /// are up. The shortest path alone would be worse, because it fills the best placed relays first, and
    /// later requests take longer paths.
    Oracle,
}

impl Rule {
    pub const ALL: [Self; 5] = [
        Self::Registry,
        Self::Random,
        Self::Nearest,
        Self::PowerOfTwo,
        Self::Oracle,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Random => "random",
            Self::Nearest => "nearest",
            Self::PowerOfTwo => "p2c",
            Self::Oracle => "oracle",
        }
    }
}

/// One session's search for a relay.
pub(super) struct Request {
    pub home: usize,
    pub target: usize,
    /// What the target publishes.
    pub view: Option<PeerView>,
    /// Relays that did not accept the session.
    pub tried: Vec<NodeId>,
}

/// A relay with room, as a rule sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    relay: usize,
    /// The round trip to the relay; for the oracle, to the target.
    rtt_ms: f32,
    /// Load over capacity, below 1.
    utilisation: f32,
}

impl Simulation<'_> {
    /// Leases the relay that the rule chooses.
    pub(super) fn choose(&self, request: &Request) -> Option<Lease> {
        let chosen = match self.args.rule {
            Rule::Registry => return self.reserve(request),
            Rule::Random => fastrand::choice(self.known(request)),
            Rule::Nearest => least(self.known(request), |candidate| candidate.rtt_ms),
            Rule::PowerOfTwo => {
                let two = fastrand::choose_multiple(self.known(request), 2);
                least(two, |candidate| candidate.utilisation)
            }
            Rule::Oracle => least(self.truly_available(request), Candidate::score),
        };
        let relay = chosen?.relay;
        if self.args.rule == Rule::Oracle {
            self.report_true_load(request.home, relay);
        }
        let id = self.world.relay_id(relay);
        self.registries[request.home].lease(&id).ok()
    }

    fn reserve(&self, request: &Request) -> Option<Lease> {
        let mut options = FindOptions::new().exclude(request.tried.iter().copied());
        if let Some(view) = &request.view {
            options = options.target_view(*view);
        }
        let target = self.world.id(request.target);
        let reserved = self.registries[request.home].reserve(&target, &options);
        reserved.ok()
    }

    /// The relays with room that the registry knows of.
    fn known(&self, request: &Request) -> Vec<Candidate> {
        let relays = self.relays_of(request.home);
        relays
            .iter()
            .filter(|(_, info)| info.current_load() < info.capacity())
            .filter(|(_, info)| !request.tried.contains(&info.node_id()))
            .filter(|(relay, _)| self.is_other_than_target(*relay, request))
            .map(|(relay, info)| Candidate::known(*relay, info))
            .collect()
    }

    /// All relays that a registry knows, with their numbers.
    pub(super) fn relays_of(&self, registry: usize) -> Vec<(usize, RelayInfo)> {
        let infos = self.registries[registry].relays().into_iter();
        let mut relays: Vec<_> = infos
            .filter_map(|info| Some((self.world.relay_of(&info.node_id())?, info)))
            .collect();
        // The registry lists them in any order.
        relays.sort_unstable_by_key(|&(relay, _)| relay);
        relays
    }

    /// The relays that are up and have room, whatever the registry knows.
    fn truly_available(&self, request: &Request) -> Vec<Candidate> {
        (0..self.relays.len())
            .filter(|&relay| self.would_serve(relay, request))
            .map(|relay| self.true_candidate(relay, request))
            .collect()
    }

    fn true_candidate(&self, relay: usize, request: &Request) -> Candidate {
        let home = self.world.homes[request.home];
        let path = self.world.path_ms(home, relay, request.target);
        let truth = &self.relays[relay];
        Candidate {
            relay,
            rtt_ms: path.unwrap_or(2.0 * ASSUMED_MS),
            utilisation: truth.load() as f32 / truth.capacity as f32,
        }
    }

    /// Whether a relay would accept the session.
    pub(super) fn would_serve(&self, relay: usize, request: &Request) -> bool {
        let truth = &self.relays[relay];
        truth.is_up() && !truth.is_full() && self.is_other_than_target(relay, request)
    }

    /// A relay is never used to reach itself.
    fn is_other_than_target(&self, relay: usize, request: &Request) -> bool {
        self.world.relay_at(request.target) != Some(relay)
    }

    /// Reports the true load to one registry, so that a stale report does not prevent the lease.
    fn report_true_load(&self, home: usize, relay: usize) {
        let load = self.relays[relay].load();
        self.registries[home].report_load(&self.world.relay_id(relay), load);
    }
}

impl Candidate {
    fn known(relay: usize, info: &RelayInfo) -> Self {
        let latency = info.latency();
        Self {
            relay,
            rtt_ms: latency.map_or(ASSUMED_MS, |rtt| rtt.as_secs_f32() * 1e3),
            utilisation: info.current_load() as f32 / info.capacity() as f32,
        }
    }

    /// The registry's score: lower is better.
    fn score(self) -> f32 {
        self.rtt_ms / (1.0 - self.utilisation.powi(4))
    }
}

fn least(candidates: Vec<Candidate>, value: impl Fn(Candidate) -> f32) -> Option<Candidate> {
    let order = |one: &Candidate, other: &Candidate| value(*one).total_cmp(&value(*other));
    candidates.into_iter().min_by(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use crate::checks::Checks;
    use crate::simulation::Outcome;
    use crate::simulation::tests::{args, simulate};

    fn with_rule(rule: Rule) -> Outcome {
        simulate(&Args {
            rule,
            seconds: 300,
            ..args(3, 0.9)
        })
    }

    #[test]
    fn every_rule_has_the_same_world_and_keeps_the_promises() {
        let own = with_rule(Rule::Registry);
        for rule in Rule::ALL {
            let outcome = with_rule(rule);
            assert_eq!(outcome.churn, own.churn, "{}", rule.name());
            assert_eq!(outcome.requests.made, own.requests.made, "{}", rule.name());
            let faultless = Checks {
                handed_out: outcome.checks.handed_out,
                ..Checks::default()
            };
            assert_eq!(outcome.checks, faultless, "{}", rule.name());
        }
    }

    #[test]
    fn the_oracle_is_never_refused_and_chooses_best() {
        let oracle = with_rule(Rule::Oracle);
        let requests = &oracle.requests;
        assert_eq!((requests.found_full, requests.found_down), (0, 0));
        assert_eq!(requests.tries_mean(), 1.0);
        for rule in [
            Rule::Registry,
            Rule::Random,
            Rule::Nearest,
            Rule::PowerOfTwo,
        ] {
            let better = requests.stretch(0.9) < with_rule(rule).requests.stretch(0.9);
            assert!(better, "{}", rule.name());
        }
    }

    #[test]
    fn stale_reports_make_requests_fail_but_not_the_oracles() {
        let overloaded = |rule| {
            let stale = Args {
                rule,
                report_interval: 60.0,
                seconds: 300,
                ..args(3, 1.3)
            };
            simulate(&stale).requests
        };
        let (own, oracle) = (overloaded(Rule::Registry), overloaded(Rule::Oracle));
        assert!(own.failed > 0 && own.failed <= own.refused, "{own:?}");
        assert!(oracle.refused > 0 && oracle.failed == 0, "{oracle:?}");
    }

    #[test]
    fn nearest_has_short_paths_and_power_of_two_saturates_less() {
        let [random, nearest, two] = [Rule::Random, Rule::Nearest, Rule::PowerOfTwo].map(with_rule);
        assert!(nearest.requests.stretch(0.5) < random.requests.stretch(0.5));
        assert!(two.meter.saturated_share() < random.meter.saturated_share());
        assert!(random.meter.saturated_share() < nearest.meter.saturated_share());
    }
}
