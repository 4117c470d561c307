//! Newcomers under attack: while records are forged, while a relay withdraws and
//! another says something new, and while what they said before is replayed.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::NodeId;
use relay_registry::dht::{Network, SignedRecord};

use crate::attack::{Arsenal, Attacker};
use crate::census::{Census, hands_out};
use crate::error::Failure;
use crate::net::Net;
use crate::newcomer::Newcomer;
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::relay::{CAPACITY, Relay};
use crate::rhythm::{REFRESH, SWEEP, TTL};

/// How often it is looked what newcomers believe.
const LOOK: Duration = Duration::from_millis(10);

/// How long records are forged: two sweeps and more.
const FORGING: Duration = Duration::from_millis(4_000);

/// How long newcomers may take to hear what is new, whatever the engine: some
/// ask only when half of a record's time is over.
const PATIENCE: Duration = Duration::from_secs(2 * TTL.as_secs());

pub struct Siege<'a> {
    net: &'a dyn Net,
    attacker: Attacker,
    newcomers: &'a [Newcomer],
    census: &'a mut Census,
}

impl<'a> Siege<'a> {
    pub fn lay(
        net: &'a dyn Net,
        network: Network,
        arsenal: &Arc<Arsenal>,
        seed: u64,
        newcomers: &'a [Newcomer],
        census: &'a mut Census,
    ) -> Result<Self, Failure> {
        Ok(Self {
            net,
            attacker: Attacker::start(net, network, arsenal, seed)?,
            newcomers,
            census,
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
        self.watch(FORGING, || ());

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
        // Not before a refresh is over does it count that it is seen.
        let rest = (withdrawn_at + REFRESH).saturating_duration_since(Instant::now());
        self.watch(rest, || ());
        let replays = Attacker::replay(&before);
        self.attacker.strike(self.net, replays, self.newcomers);
        let newcomers = self.newcomers;
        self.attacker.name(newcomers);
        self.watch(REFRESH.max(SWEEP * 3), || {
            for newcomer in newcomers {
                let registry = &newcomer.registry;
                outcome.withdrawn_seen += u64::from(hands_out(registry, &gone.id()));
                let is_back = has_capacity(newcomer, renewed, CAPACITY);
                outcome.replayed_accepted += u64::from(is_back || registry.is_relay(&gone.id()));
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
        while since.elapsed() < PATIENCE && !(outcome.renewed && outcome.withdrawn_in.is_some()) {
            let all = |is_so: &dyn Fn(&Newcomer) -> bool| self.newcomers.iter().all(is_so);
            let is_gone = |newcomer: &Newcomer| !hands_out(&newcomer.registry, &gone.id());
            if outcome.withdrawn_in.is_none() && all(&is_gone) {
                outcome.withdrawn_in = Some(since.elapsed());
            }
            outcome.renewed = all(&|newcomer| has_capacity(newcomer, renewed, CAPACITY + 1));
            progress.reached(self.newcomers.iter().filter(|it| is_gone(it)).count());
            if since.elapsed() > REFRESH {
                let seen = self.newcomers.iter().filter(|it| !is_gone(it)).count();
                outcome.withdrawn_seen += seen as u64;
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
