//! The comparison of home relays with the model's.

use super::super::conversions::find_options;
use super::super::{Access, Call, Query};
use super::System;
use relay_registry::{NodeId, RelayInfo};

impl System {
    pub(super) fn find_home(&mut self, query: &Query<NodeId>) {
        let call = Call::home(query);
        match self.registry.find_home_relay(&find_options(query)) {
            Ok(home) => {
                let id = home.node_id();
                self.check_home(&home, &call);
                self.check_relay(&home);
                if !self.is_kept_on_trial(&home) {
                    self.model.hand_out(&id);
                }
            }
            Err(error) => self.check_none(&error, &call),
        }
    }

    /// Whether an earlier call has the trial of a home relay, so that this one needs no other.
    fn is_kept_on_trial(&self, home: &RelayInfo) -> bool {
        let record = self.model.relay(&home.node_id()).expect("just seen");
        let is_backing_off = record.circuit.access(self.model.tick()) == Access::BackingOff;
        is_backing_off && !home.is_last_resort()
    }

    fn check_home(&self, home: &RelayInfo, call: &Call<NodeId>) {
        let homes = self.model.homes(call);
        let Some(best) = homes.first() else {
            return self.check_choice(home, call);
        };
        assert!(!home.is_last_resort(), "{home:?}");
        // Lower bounds of two figures, each of which is rounded.
        let share = match self.settings.max_relays {
            ..=64 => 0.004,
            _ => 0.034,
        };
        let limit = best.ranked * (1.0 + share) * 1.000_1;
        let ties = homes.iter().filter(|it| it.score <= limit);
        let mut expected = ties.map(|it| self.model.home(&it.id, call));
        if self.settled {
            assert!(
                expected.any(|id| id == home.node_id()),
                "{home:?}, not as {best:?}"
            );
        }
    }
}
