//! How a relay is chosen for a request, rule by rule.
//!
//! The registry's own rule is the registry's. The others look at what the asking
//! node's registry knows of its relays (the oracle at the truth), and then lease
//! the one they chose. Chance comes from this thread's generator, as it does for
//! the registry: the same seed brings the same relays, requests and sessions
//! under every rule.

use relay_registry::{FindOptions, Lease, NodeId, PeerView, RelayInfo};

use super::{Rule, Simulation};

/// What an unmeasured leg is ranked at, in ms: the registry's default.
const ASSUMED_MS: f32 = 100.0;

/// One session's search for a relay.
pub(super) struct Request {
    pub home: usize,
    pub target: usize,
    /// What the target tells of itself.
    pub view: Option<PeerView>,
    /// Relays that did not take the session.
    pub tried: Vec<NodeId>,
}

/// A relay with room, as far as a rule is to know it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Candidate {
    relay: usize,
    /// The round trip it stands for: as far as the relay, or for the oracle all
    /// the way to the target.
    rtt_ms: f32,
    /// Load over capacity, below 1.
    utilisation: f32,
}

impl Simulation<'_> {
    /// A unit of the relay that the rule chooses, if it finds one.
    pub(super) fn choose(&self, request: &Request) -> Option<Lease> {
        let chosen = match self.args.rule {
            Rule::Registry => return self.reserve(request),
            Rule::Random => fastrand::choice(self.known(request)),
            Rule::Nearest => least(self.known(request), |candidate| candidate.rtt_ms),
            Rule::PowerOfTwo => {
                let two = fastrand::choose_multiple(self.known(request), 2);
                least(two, |candidate| candidate.utilisation)
            }
            Rule::Oracle => least(self.truly_there(request), Candidate::score),
        };
        let relay = chosen?.relay;
        if self.args.rule == Rule::Oracle {
            self.tell(request.home, relay);
        }
        let id = self.world.relay_id(relay);
        self.registries[request.home].lease(&id).ok()
    }

    fn reserve(&self, request: &Request) -> Option<Lease> {
        let mut options = FindOptions::new().exclude(request.tried.iter().copied());
        if let Some(view) = &request.view {
            options = options.target_view(view.clone());
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
            .filter(|(relay, _)| self.is_to_serve(*relay, request))
            .map(|(relay, info)| Candidate::known(*relay, info))
            .collect()
    }

    /// All relays that a registry knows of, and which they are.
    pub(super) fn relays_of(&self, registry: usize) -> Vec<(usize, RelayInfo)> {
        let infos = self.registries[registry].relays().into_iter();
        let mut relays: Vec<_> = infos
            .filter_map(|info| Some((self.world.relay_of(&info.node_id())?, info)))
            .collect();
        // The registry lists them in no order.
        relays.sort_unstable_by_key(|&(relay, _)| relay);
        relays
    }

    /// The relays that are up and have room, whatever the registry believes.
    fn truly_there(&self, request: &Request) -> Vec<Candidate> {
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

    /// Whether a relay would take the session if it were asked.
    pub(super) fn would_serve(&self, relay: usize, request: &Request) -> bool {
        let truth = &self.relays[relay];
        truth.is_up() && !truth.is_full() && self.is_to_serve(relay, request)
    }

    /// A relay does not forward to itself.
    fn is_to_serve(&self, relay: usize, request: &Request) -> bool {
        self.world.relay_at(request.target) != Some(relay)
    }

    /// Tells one registry a relay's load, so that no stale report is in the way.
    fn tell(&self, home: usize, relay: usize) {
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
    fn every_rule_meets_the_same_world_and_keeps_the_promises() {
        let own = with_rule(Rule::Registry);
        for rule in Rule::ALL {
            let outcome = with_rule(rule);
            assert_eq!(outcome.comings, own.comings, "{}", rule.name());
            assert_eq!(outcome.requests.made, own.requests.made, "{}", rule.name());
            let faultless = Checks {
                handed_out: outcome.checks.handed_out,
                ..Checks::default()
            };
            assert_eq!(outcome.checks, faultless, "{}", rule.name());
        }
    }

    #[test]
    fn the_oracle_is_never_turned_away_and_chooses_best() {
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
    fn nearest_goes_short_ways_and_power_of_two_saturates_less() {
        let [random, nearest, two] = [Rule::Random, Rule::Nearest, Rule::PowerOfTwo].map(with_rule);
        assert!(nearest.requests.stretch(0.5) < random.requests.stretch(0.5));
        assert!(two.meter.saturated_share() < random.meter.saturated_share());
        assert!(random.meter.saturated_share() < nearest.meter.saturated_share());
    }
}
