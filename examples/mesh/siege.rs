//! Newcomers under attack: while records are forged, while a relay withdraws and
//! another says something new, and while what they said before is replayed.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::NodeId;
use relay_registry::dht::SignedRecord;

use crate::attack::{Arsenal, Attacker};
use crate::census::{Census, hands_out};
use crate::error::Failure;
use crate::intervals::Intervals;
use crate::net::Net;
use crate::newcomer::Newcomer;
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::relay::{CAPACITY, Relay};

/// How often it is looked what newcomers believe.
const LOOK: Duration = Duration::from_millis(10);

pub struct Siege<'a> {
    net: &'a dyn Net,
    attacker: Attacker,
    newcomers: &'a [Newcomer],
    census: &'a mut Census,
    intervals: Intervals,
}

impl<'a> Siege<'a> {
    pub fn lay(
        net: &'a dyn Net,
        intervals: Intervals,
        arsenal: &Arc<Arsenal>,
        seed: u64,
        newcomers: &'a [Newcomer],
        census: &'a mut Census,
    ) -> Result<Self, Failure> {
        Ok(Self {
            net,
            attacker: Attacker::start(net, intervals.network, arsenal, seed)?,
            newcomers,
            census,
            intervals,
        })
    }

    /// All of it; which relay withdrew.
    pub fn run(
        &mut self,
        relays: &[Relay],
        progress: &Progress,
        outcome: &mut Outcome,
    ) -> Result<NodeId, Failure> {
        let [gone, renewed, ..] = relays else {
            return Err(Failure::registry("there are too few relays for an attack"));
        };
        progress.begin("records are forged", 1);
        let loot: Vec<SignedRecord> = relays.iter().filter_map(Relay::last_word).collect();
        let forged = self.attacker.forge(&loot)?;
        self.attacker.strike(self.net, forged, self.newcomers);
        self.attacker.name(self.newcomers);
        self.watch(self.intervals.sweep * 5 / 2, || ());

        progress.begin("a relay withdraws", self.newcomers.len());
        let before: Vec<SignedRecord> = [gone, renewed]
            .into_iter()
            .filter_map(Relay::last_word)
            .collect();
        let withdrawn_at = Instant::now();
        gone.withdraw();
        renewed.announce(CAPACITY + 1)?;
        self.wait_for_news(gone, renewed, withdrawn_at, progress, outcome);

        progress.begin("old records are replayed", 1);
        let replays = Attacker::replay(&before);
        self.attacker.strike(self.net, replays, self.newcomers);
        let newcomers = self.newcomers;
        self.attacker.name(newcomers);
        let refresh = self.intervals.refresh;
        let rest = refresh.saturating_sub(withdrawn_at.elapsed());
        self.watch(rest + self.intervals.sweep * 2, || {
            let is_late = withdrawn_at.elapsed() > refresh;
            for newcomer in newcomers {
                let is_back = hands_out(&newcomer.registry, &gone.id());
                outcome.withdrawn_seen += u64::from(is_late && is_back);
                let is_believed = is_back || has_capacity(newcomer, renewed, CAPACITY);
                outcome.replayed_accepted += u64::from(is_believed);
            }
        });
        let tally = self.attacker.tally;
        outcome.forged_accepted += tally.forged_accepted;
        outcome.replayed_accepted += tally.replayed_accepted;
        (outcome.stored, outcome.not_stored) = (tally.stored, tally.not_stored);
        Ok(gone.id())
    }

    /// Waits until newcomers no longer hand out the one that is gone, and have
    /// heard what the other says now.
    fn wait_for_news(
        &mut self,
        gone: &Relay,
        renewed: &Relay,
        since: Instant,
        progress: &Progress,
        outcome: &mut Outcome,
    ) {
        let newcomers = self.newcomers;
        let is_gone = |it: &&Newcomer| !hands_out(&it.registry, &gone.id());
        let is_over = |outcome: &Outcome| outcome.renewed && outcome.withdrawn_in.is_some();
        while since.elapsed() < self.intervals.ttl && !is_over(outcome) {
            let rid = newcomers.iter().filter(is_gone).count();
            progress.reached(rid);
            if rid == newcomers.len() {
                outcome.withdrawn_in.get_or_insert(since.elapsed());
            } else if since.elapsed() > self.intervals.refresh {
                outcome.withdrawn_seen += (newcomers.len() - rid) as u64;
            }
            outcome.renewed = newcomers
                .iter()
                .all(|it| has_capacity(it, renewed, CAPACITY + 1));
            for newcomer in newcomers {
                // Where a directory has no more than names, it would be asked for
                // when half of its record's time is over.
                newcomer.registry.request_record(&renewed.id());
            }
            self.watch(LOOK, || ());
        }
    }

    /// Lets time pass, and looks for whom newcomers should not believe in.
    fn watch(&mut self, span: Duration, mut look: impl FnMut()) {
        let begun = Instant::now();
        while begun.elapsed() < span {
            for (number, newcomer) in self.newcomers.iter().enumerate() {
                self.census.look_for_strays(number, &newcomer.registry);
            }
            look();
            thread::sleep(LOOK);
        }
    }
}

fn has_capacity(newcomer: &Newcomer, relay: &Relay, capacity: u32) -> bool {
    let held = newcomer.registry.relay(&relay.id());
    held.is_some_and(|held| held.capacity() == capacity)
}
