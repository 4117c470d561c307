//! The outcome of a run.

use std::time::Duration;

use relay_registry::dht::RejectReason;

#[derive(Debug, Default)]
pub struct Outcome {
    /// How often relays publish again.
    pub refresh: Duration,
    pub registries: usize,
    pub published: usize,
    pub published_in: Duration,
    /// The smallest share of the relays that a joining node found.
    pub discovered_share: f64,
    /// Of the slowest joining node; `None` if one found no relay.
    pub first_relay: Option<Duration>,
    pub all_relays: Option<Duration>,
    pub killed: usize,
    pub after_kill_share: f64,
    pub after_kill: Option<Duration>,
    pub withdrawn_in: Option<Duration>,
    pub withdrawn_seen: u64,
    /// Whether the joining nodes had a relay's new record before the old one was replayed.
    pub renewed: bool,
    pub forged_offered: u64,
    pub forged_accepted: u64,
    pub replayed_offered: u64,
    pub replayed_accepted: u64,
    pub stored: u64,
    pub not_stored: u64,
    /// What joining nodes refused, by reason.
    pub refused: Vec<(RejectReason, u64)>,
    pub seconds: f64,
}

impl Outcome {
    /// The promises that were broken.
    pub fn broken_promises(&self) -> Vec<String> {
        let promises = [
            (
                self.published == self.registries,
                "not all relays were published",
            ),
            (
                self.discovered_share >= 1.0,
                "not all relays were discovered",
            ),
            (
                self.after_kill_share >= 1.0,
                "not all relays were found after the kill",
            ),
            (self.withdrawn_in.is_some(), "the withdrawn relay stayed"),
            (
                self.withdrawn_seen == 0,
                "the withdrawn relay was seen after a refresh",
            ),
            (self.renewed, "the new record of a relay was not found"),
            (self.forged_offered > 0, "nothing forged was offered"),
            (self.forged_accepted == 0, "a forged record was accepted"),
            (self.replayed_offered > 0, "nothing was replayed"),
            (
                self.replayed_accepted == 0,
                "a replayed record was accepted",
            ),
        ];
        let broken = promises.into_iter().filter(|(is_kept, _)| !is_kept);
        broken.map(|(_, what)| what.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Outcome {
        Outcome {
            registries: 2,
            published: 2,
            discovered_share: 1.0,
            after_kill_share: 1.0,
            withdrawn_in: Some(Duration::ZERO),
            renewed: true,
            forged_offered: 1,
            replayed_offered: 1,
            ..Outcome::default()
        }
    }

    #[test]
    fn each_promise_can_be_broken() {
        assert!(good().broken_promises().is_empty());
        let ways: [fn(&mut Outcome); 10] = [
            |it| it.published = 1,
            |it| it.discovered_share = 0.99,
            |it| it.after_kill_share = 0.99,
            |it| it.withdrawn_in = None,
            |it| it.withdrawn_seen = 1,
            |it| it.renewed = false,
            |it| it.forged_offered = 0,
            |it| it.forged_accepted = 1,
            |it| it.replayed_offered = 0,
            |it| it.replayed_accepted = 1,
        ];
        for way in ways {
            let mut outcome = good();
            way(&mut outcome);
            assert_eq!(outcome.broken_promises().len(), 1, "{outcome:?}");
        }
    }
}
