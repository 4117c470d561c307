//! What is known of the legs of a path: the registry's explanation says, and is compared with the model.

use super::super::conversions::find_options;
use super::super::{Call, Leg, Legs, Query};
use super::System;
use relay_registry::{Explained, LegSource, NodeId};
use std::time::Duration;

impl System {
    /// The model's call. It does not know positions, so it takes over what the registry estimates.
    pub(super) fn call(&self, target: NodeId, query: &Query<NodeId>) -> Call<NodeId> {
        let mut call = self.model.call(target, query);
        if call.has_views() {
            let explanation = self.registry.explain(&target, &find_options(query));
            let relays = explanation.relays().iter();
            let estimates = relays.filter_map(|it| Some((it.relay, self.estimates(it, &call)?)));
            call.estimates = estimates.collect();
        }
        call
    }

    /// What the registry estimates of the legs of a live relay, after a comparison of all else.
    fn estimates(
        &self,
        explained: &Explained,
        call: &Call<NodeId>,
    ) -> Option<Legs<Option<Duration>>> {
        let relay = self.model.relay(&explained.relay)?;
        let known = call.legs(&explained.relay, relay);
        let requester = (explained.requester_leg_source, explained.requester_leg);
        let target = (explained.target_leg_source, explained.target_leg);
        let query = &call.query;
        Some(Legs {
            requester: self.estimate(requester, known.requester, query.requester_view.is_some()),
            target: self.estimate(target, known.target, query.target_view.is_some()),
        })
    }

    fn estimate(
        &self,
        (source, length): (LegSource, Duration),
        known: Leg,
        has_view: bool,
    ) -> Option<Duration> {
        let may_be_estimated = has_view && self.model.keeps_positions();
        match (source, known) {
            (LegSource::Measured, Leg::Measured(rtt)) if !has_view => assert_eq!(length, rtt),
            (LegSource::Published, Leg::Measured(rtt)) if has_view => assert_eq!(length, rtt),
            (LegSource::Assumed, Leg::Assumed) => assert_eq!(length, self.model.assumed_rtt()),
            (LegSource::Estimated, Leg::Assumed) if may_be_estimated => return Some(length),
            other => panic!("{other:?}"),
        }
        None
    }
}
