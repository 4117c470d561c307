//! A copy of the relays that follows the events of a history.

use crate::common::mirror::{Mirror, Standings, standings};
use relay_registry::{NodeId, Registry};
use std::collections::BTreeSet;

pub struct Copy {
    mirror: Mirror,
    /// Relays of the copy that are past their deadline, and of which no event says so yet.
    overdue: BTreeSet<NodeId>,
}

impl Copy {
    pub fn of(registry: &Registry) -> Self {
        Self {
            mirror: Mirror::of(registry),
            overdue: BTreeSet::new(),
        }
    }

    /// After an operation, in which time passed or not.
    pub fn check(&mut self, registry: &Registry, has_time_passed: bool) {
        self.mirror.follow(registry);
        assert_eq!(self.mirror.missed, 0);
        let (mut copied, relays) = (self.mirror.relays.clone(), standings(registry));
        let overdue = take_absent(&mut copied, &relays);
        assert_eq!(copied, relays);
        assert!(
            has_time_passed || overdue.is_subset(&self.overdue),
            "{overdue:?} went without an event; overdue were {:?}",
            self.overdue
        );
        self.overdue = overdue;
    }

    /// After a maintenance pass: no relay is overdue.
    pub fn check_at_rest(&mut self, registry: &Registry) {
        self.check(registry, false);
        assert_eq!(self.overdue, BTreeSet::new());
    }
}

/// Takes out what is not among the relays.
fn take_absent(copied: &mut Standings, relays: &Standings) -> BTreeSet<NodeId> {
    let absent = copied.keys().filter(|id| !relays.contains_key(id));
    let absent: BTreeSet<NodeId> = absent.copied().collect();
    copied.retain(|id, _| !absent.contains(id));
    absent
}
