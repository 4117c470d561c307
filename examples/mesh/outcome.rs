//! The outcome of a run.

use std::time::Duration;

use relay_registry::dht::RejectReason;

/// What a joining node asked and read until it knew as many relays as it wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Requests for shards of the directory, also those that had not ended.
    pub shards: u64,
    /// Requests for the record of one relay.
    pub records: u64,
    /// Records and ids that it read, without the framing of the transport.
    pub bytes: u64,
}

/// A figure of the joining nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    pub median: u64,
    pub most: u64,
}

impl Spread {
    /// None of no values.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        Some(Self {
            median: *values.get(values.len() / 2)?,
            most: *values.last()?,
        })
    }
}

#[derive(Debug, Default)]
pub struct Outcome {
    /// How often relays publish again.
    pub refresh: Duration,
    pub registries: usize,
    pub published: usize,
    pub published_in: Duration,
    /// How many relays each joining node wants.
    pub wanted: usize,
    /// The smallest share of the relays that it wants that a joining node found.
    pub discovered_share: f64,
    /// Of the slowest joining node; `None` if one found no relay.
    pub first_relay: Option<Duration>,
    /// Of the slowest and of the median joining node; `None` if one found too few.
    pub all_relays: Option<Duration>,
    pub all_relays_median: Option<Duration>,
    /// What that took; `None` if no joining node found enough.
    pub requests_shards: Option<Spread>,
    pub requests_records: Option<Spread>,
    pub bytes: Option<Spread>,
    /// Whether all joining nodes found the relays that they looked up by their ids.
    pub looked_up: bool,
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
                "not as many relays were discovered as are wanted",
            ),
            (
                self.after_kill_share >= 1.0,
                "not as many relays were found after the kill as are wanted",
            ),
            (self.looked_up, "a relay was not found by its id"),
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
            looked_up: true,
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
        let ways: [fn(&mut Outcome); 11] = [
            |it| it.published = 1,
            |it| it.discovered_share = 0.99,
            |it| it.after_kill_share = 0.99,
            |it| it.looked_up = false,
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

    #[test]
    fn a_spread_is_the_median_and_the_most() {
        let (median, most) = (3, 9);
        assert_eq!(Spread::of([9, 1, 3]), Some(Spread { median, most }));
        assert_eq!(Spread::of([]), None);
    }
}
