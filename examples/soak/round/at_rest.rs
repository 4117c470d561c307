//! The checks of a registry at rest, when no other thread uses it and everything about it is certain.

use std::iter;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use relay_registry::{Maintenance, Registry, Stats};

use super::Round;
use crate::relays::{self, MAX_PEERS, PERMANENT};
use crate::tally::Tally;

/// How often reclamation is attempted. Each attempt advances the epoch.
const RECLAMATION_ATTEMPTS: usize = 500;
/// How often the counts of a registry at rest are read until they agree.
const SETTLE_ATTEMPTS: usize = 1_000;
/// A jump of the clock after which nothing is remembered.
const BEYOND_ALL_GRACES: Duration = Duration::from_secs(30_000_000);

impl Round {
    /// The counts agree with each other and with the tally.
    pub(super) fn check_counts(&self, registry: &Registry, tally: &mut Tally) {
        tally.checked_at_rest += 1;
        while self.shared.release(usize::MAX) > 0 || Arc::strong_count(&self.ledger) > 1 {
            thread::yield_now();
        }
        // More relays may expire between two readings.
        let read = || {
            registry.maintain();
            let stats = registry.stats();
            let departed = stats.unregistrations + stats.expirations;
            let counts = [
                registry.relays().len() as u64,
                registry.relay_count() as u64,
                stats.registrations - departed,
            ];
            (stats, counts)
        };
        let is_settled = |&(_, [listed, counted, balance]): &(Stats, [u64; 3])| {
            listed == counted && listed == balance
        };
        let mut readings = iter::repeat_with(read).take(SETTLE_ATTEMPTS);
        let (stats, [listed, counted, balance]) = readings.find(is_settled).unwrap_or_else(read);
        let expected = [
            ("counted", counted, listed),
            ("registered and not departed", balance, listed),
            ("leases", stats.leases as u64, 0),
            (
                "new",
                stats.registrations,
                tally.arrived + tally.returned + u64::from(PERMANENT),
            ),
            ("renewed", stats.renewals, tally.renewed),
            (
                "left",
                stats
                    .unregistrations
                    .clamp(tally.unregistered, tally.unregistered + tally.displaced),
                stats.unregistrations,
            ),
            (
                "refused",
                stats.refused,
                tally.full + tally.backlogged + tally.invalid,
            ),
            ("panics", stats.maintenance_panics, 0),
        ];
        for (what, is, should) in expected {
            if is != should {
                self.ledger
                    .fault(format!("at rest: {what}: {is}, not {should}"));
            }
        }
        let most = self.ledger.max_remembered();
        if stats.remembered > most {
            let remembered = stats.remembered;
            self.ledger
                .fault(format!("at rest: {remembered} remembered, {most} at most"));
        }
        self.check_peers(registry);
        self.check_load_reports(registry);
    }

    /// No more peers are remembered than the registry was told, whatever was forgotten or evicted.
    fn check_peers(&self, registry: &Registry) {
        let all = (0..self.ledger.relays()).chain(relays::peers());
        let forget = |peer: u32| registry.forget_peer(&relays::id(peer));
        let remembered = all.clone().filter(|&peer| forget(peer)).count();
        let left = all.filter(|&peer| forget(peer)).count();
        if remembered > MAX_PEERS || left > 0 {
            self.ledger.fault(format!(
                "at rest: {remembered} peers remembered, {MAX_PEERS} at most; {left} not forgotten"
            ));
        }
    }

    /// Once all relays have left, all settings are lifted and time has passed, the registry is empty.
    pub(super) fn check_empties(&self, registry: &Registry) {
        for relay in 0..self.ledger.relays() {
            registry.unregister(&relays::id(relay));
            registry.lift(&relays::id(relay));
        }
        self.time.jump(BEYOND_ALL_GRACES);
        let left = || {
            registry.maintain();
            let stats = registry.stats();
            // With an endless grace, some are remembered for ever.
            let is_endless = self.ledger.settings().grace == Some(Duration::MAX);
            let bound = if is_endless {
                self.ledger.max_remembered()
            } else {
                0
            };
            [
                ("relays", stats.relays, 0),
                ("leases", stats.leases, 0),
                ("remembered", stats.remembered, bound),
                ("on the wheel", stats.wheel_len, 4 * bound),
                ("awaiting reclamation", stats.awaiting_reclamation, 0),
            ]
            .into_iter()
            .filter(|(_, is, most)| is > most)
            .collect::<Vec<_>>()
        };
        if let Some(left) = (0..RECLAMATION_ATTEMPTS)
            .map(|_| left())
            .take_while(|left| !left.is_empty())
            .nth(RECLAMATION_ATTEMPTS - 1)
        {
            self.ledger.fault(format!("after all had left: {left:?}"));
        }
    }

    /// The load is the reported load and the leases since.
    fn check_load_reports(&self, registry: &Registry) {
        for info in registry.relays() {
            let id = info.node_id();
            let load_is = |wanted: u32, when: &str| {
                let load = registry.relay(&id).map(|info| info.current_load());
                if load.is_some_and(|load| load != wanted) {
                    let relay = relays::name(relays::number(&id));
                    self.ledger
                        .fault(format!("{relay}: load {load:?} {when}, not {wanted}"));
                }
            };
            if !registry.report_load(&id, 1) {
                continue;
            }
            load_is(1, "as reported");
            let lease = registry.lease(&id);
            load_is(1 + u32::from(lease.is_ok()), "with a lease");
            drop(lease);
            load_is(1, "without it");
            let lease = registry.lease(&id);
            registry.report_load_of_others(&id, 2);
            load_is(2 + u32::from(lease.is_ok()), "with a late report");
            drop(lease);
            load_is(2, "of others");
        }
    }

    /// Every announcement must be freed.
    pub(super) fn await_reclamation(&self) {
        for _ in 0..RECLAMATION_ATTEMPTS {
            if self.announcements() == 0 {
                return;
            }
            // Building and dropping a registry also reclaims memory of earlier ones.
            drop(
                Registry::builder()
                    .max_relays(1)
                    .maintenance(Maintenance::Manual)
                    .build(),
            );
        }
        let left = self.announcements();
        self.ledger
            .fault(format!("{left} records were never freed"));
    }

    /// How many announcements exist, of all registries of this round.
    fn announcements(&self) -> usize {
        let labels = [&self.label, &self.small_label];
        labels
            .map(|label| Arc::strong_count(label) - 1)
            .iter()
            .sum()
    }
}
