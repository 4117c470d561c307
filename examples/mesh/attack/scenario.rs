//! The attack on joining nodes: the attacker forges records; then one relay withdraws and another publishes
//! a new record; then the attacker replays the old records of both.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use relay_registry::NodeId;
use relay_registry::dht::SignedRecord;

use super::{AttackRecords, Attacker};
use crate::error::Failure;
use crate::ground_truth::{GroundTruth, hands_out};
use crate::intervals::Intervals;
use crate::joining_node::JoiningNode;
use crate::net::Net;
use crate::outcome::Outcome;
use crate::progress::Progress;
use crate::relay::{CAPACITY, Relay};

/// How often the relays that the nodes hold are checked.
const POLL: Duration = Duration::from_millis(10);

pub struct AttackScenario<'a> {
    net: &'a dyn Net,
    attacker: Attacker,
    nodes: &'a [JoiningNode],
    ground_truth: &'a mut GroundTruth,
    intervals: Intervals,
}

impl<'a> AttackScenario<'a> {
    pub fn start(
        net: &'a dyn Net,
        intervals: Intervals,
        attack_records: &Arc<AttackRecords>,
        seed: u64,
        nodes: &'a [JoiningNode],
        ground_truth: &'a mut GroundTruth,
    ) -> Result<Self, Failure> {
        Ok(Self {
            net,
            attacker: Attacker::start(net, intervals.network, attack_records, seed)?,
            nodes,
            ground_truth,
            intervals,
        })
    }

    /// `relays` are those that the attacker knows, the ones that most nodes know first. Returns the id of
    /// the relay that withdrew.
    pub fn run(
        &mut self,
        relays: &[Arc<Relay>],
        progress: &Progress,
        outcome: &mut Outcome,
    ) -> Result<NodeId, Failure> {
        let [gone, renewed, ..] = relays else {
            return Err(Failure::registry("there are too few relays for an attack"));
        };
        let last_record = |relay: &Arc<Relay>| relay.last_record();
        progress.begin("relays are looked up", self.nodes.len());
        outcome.looked_up = self.look_up(&[gone, renewed], progress);

        progress.begin("records are forged", 1);
        let captured: Vec<SignedRecord> = relays.iter().filter_map(last_record).collect();
        let forged = self.attacker.forge(&captured)?;
        self.attacker.attack(self.net, forged, self.nodes);
        self.attacker.request_all(self.nodes);
        self.watch(self.intervals.sweep * 5 / 2, || ());

        progress.begin("a relay withdraws", self.nodes.len());
        let before: Vec<SignedRecord> = [gone, renewed]
            .into_iter()
            .filter_map(last_record)
            .collect();
        let withdrawn_at = Instant::now();
        gone.withdraw();
        renewed.announce(CAPACITY + 1)?;
        self.wait_for_update(gone, renewed, withdrawn_at, progress, outcome);

        progress.begin("old records are replayed", 1);
        let replays = Attacker::replay(&before);
        self.attacker.attack(self.net, replays, self.nodes);
        let nodes = self.nodes;
        self.attacker.request_all(nodes);
        let refresh = self.intervals.refresh;
        let rest = refresh.saturating_sub(withdrawn_at.elapsed());
        self.watch(rest + self.intervals.sweep * 2, || {
            let is_late = withdrawn_at.elapsed() > refresh;
            for node in nodes {
                let is_back = hands_out(&node.registry, &gone.id());
                outcome.withdrawn_seen += u64::from(is_late && is_back);
                let is_believed = is_back || has_capacity(node, renewed, CAPACITY);
                outcome.replayed_accepted += u64::from(is_believed);
            }
        });
        let tally = self.attacker.tally;
        outcome.forged_accepted += tally.forged_accepted;
        outcome.replayed_accepted += tally.replayed_accepted;
        (outcome.stored, outcome.not_stored) = (tally.stored, tally.not_stored);
        Ok(gone.id())
    }

    /// Makes all nodes know these relays, of which they know the ids: in a large directory a node finds
    /// others. Returns whether they do.
    fn look_up(&mut self, relays: &[&Arc<Relay>], progress: &Progress) -> bool {
        let nodes = self.nodes;
        let is_known = |node: &&JoiningNode| {
            let mut ids = relays.iter().map(|relay| relay.id());
            ids.all(|id| hands_out(&node.registry, &id))
        };
        let begun = Instant::now();
        loop {
            let knowing = nodes.iter().filter(is_known).count();
            progress.reached(knowing);
            if knowing == nodes.len() || begun.elapsed() > self.intervals.ttl {
                return knowing == nodes.len();
            }
            for node in nodes.iter().filter(|node| !is_known(node)) {
                for relay in relays {
                    node.registry.request_record(&relay.id());
                }
            }
            self.watch(POLL, || ());
        }
    }

    /// Waits until no node hands out the relay that withdrew, and all have the new record of the other.
    fn wait_for_update(
        &mut self,
        gone: &Relay,
        renewed: &Relay,
        since: Instant,
        progress: &Progress,
        outcome: &mut Outcome,
    ) {
        let nodes = self.nodes;
        let is_gone = |it: &&JoiningNode| !hands_out(&it.registry, &gone.id());
        let is_over = |outcome: &Outcome| outcome.renewed && outcome.withdrawn_in.is_some();
        while since.elapsed() < self.intervals.ttl && !is_over(outcome) {
            // Their thread may be busy with other relays.
            gone.drive();
            renewed.drive();
            let without = nodes.iter().filter(is_gone).count();
            progress.reached(without);
            if without == nodes.len() {
                outcome.withdrawn_in.get_or_insert(since.elapsed());
            } else if since.elapsed() > self.intervals.refresh {
                outcome.withdrawn_seen += (nodes.len() - without) as u64;
            }
            outcome.renewed = nodes
                .iter()
                .all(|it| has_capacity(it, renewed, CAPACITY + 1));
            for node in nodes {
                // If the directory has only ids, the node would ask again after half of the record's
                // lifetime.
                node.registry.request_record(&renewed.id());
            }
            self.watch(POLL, || ());
        }
    }

    /// Waits, and checks the relays that the nodes hold meanwhile.
    fn watch(&mut self, span: Duration, mut look: impl FnMut()) {
        let begun = Instant::now();
        while begun.elapsed() < span {
            let looked_at = Instant::now();
            for (number, node) in self.nodes.iter().enumerate() {
                self.ground_truth.check(number, &node.registry);
            }
            look();
            // With many relays this takes longer, and the nodes need the time.
            thread::sleep(POLL.max(looked_at.elapsed() * 3));
        }
    }
}

fn has_capacity(node: &JoiningNode, relay: &Relay, capacity: u32) -> bool {
    let held = node.registry.relay(&relay.id());
    held.is_some_and(|held| held.capacity() == capacity)
}
