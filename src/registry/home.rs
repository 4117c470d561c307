//! Finding a home relay for this node.

use crate::errors::FindError;
use crate::registry::find::Refusal;
use crate::registry::inner::Inner;
use crate::relay::RelayInfo;
use crate::select::{Criteria, FindOptions};
use crate::sync::epoch;

impl Inner {
    pub(super) fn find_home_relay(&self, options: &FindOptions) -> Result<RelayInfo, FindError> {
        self.relays.counters.count_find();
        let now = self.relays.present();
        let (guard, snapshot) = (epoch::pin(), self.relays.publication().load());
        let settings = &self.relays.settings;
        let context = &self.relays.publication().context;
        context.units_asked.ask(options.units.get());
        let criteria = Criteria {
            target: None,
            requester: None,
            local: settings.local_id.as_ref(),
            options,
            filter: self.filter_of(options),
            views: None,
            tick: now,
            assumed_rtt_micros: settings.assumed_rtt_micros,
            target_leg_micros: 0,
            has_policies: self.relays.table.has_policies(),
        };
        let search = self.search_by(criteria, &snapshot, &guard);
        match search.best() {
            Some(best) => Ok(self.relays.describe_candidate(&best, now)),
            None => Err(self.none_available(&search, Refusal::Counts)),
        }
    }
}
