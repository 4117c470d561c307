//! Which relay is at which endpoint, for a registry in which no two relays share one.
//!
//! Each attempt to register holds a lock while it looks whether another live relay is at the
//! endpoint, and brings its own relay there. Renewals that change nothing need no lock, for they
//! bring no relay anywhere. So of two relays that register at one endpoint, one comes first, and
//! the other one sees it.
//!
//! An entry is a hint: it says which relay came to the endpoint last, and the record of that
//! relay says whether it is live and still there. So nothing has to be done when a relay leaves,
//! expires or moves. Entries that became stale are dropped now and then.
//!
//! The further endpoints of a learned relay are not checked, and take none from another relay:
//! its record claims them, and nothing has shown that it is there.
//!
//! A relay past its deadline could be renewed at this moment by a thread that read an earlier
//! tick. So it departs before another relay takes its endpoint.

use crate::errors::RegisterError;
use crate::footprint::Footprint;
use crate::registry::inner::Inner;
use crate::registry::request::{AttemptError, Registration, Request};
use crate::relay::{Endpoint, NodeId};
use crate::sync::epoch::{self, Guard};
use crate::sync::{Mutex, MutexGuard, random_hasher};
use crate::table::record::{Announcement, Origin};
use crate::table::{LiveRecord, RecordRef};
use crate::time::Moment;
use std::collections::HashMap;

/// The relay that came to each endpoint last; `None` if relays may share endpoints.
pub(crate) struct EndpointOwners(Option<Mutex<Owners>>);

pub(super) struct Owners {
    by_endpoint: HashMap<Endpoint, NodeId, ahash::RandomState>,
    /// The number of entries after the last pruning.
    pruned_to: usize,
}

impl EndpointOwners {
    pub(super) fn new(one_id_per_endpoint: bool) -> Self {
        let none = || Owners {
            by_endpoint: HashMap::with_hasher(random_hasher()),
            pruned_to: 0,
        };
        Self(one_id_per_endpoint.then(|| Mutex::new(none())))
    }

    pub(super) fn footprint(&self) -> Footprint {
        self.lock().map_or_else(Footprint::default, |owners| {
            Footprint::of_hash_map::<(Endpoint, NodeId)>(owners.by_endpoint.capacity())
        })
    }

    /// The right to bring a relay to an endpoint, after waiting for the thread that has it. The
    /// caller must not be pinned.
    fn lock(&self) -> Option<MutexGuard<'_, Owners>> {
        self.0.as_ref().map(Mutex::lock)
    }
}

impl Owners {
    /// Notes who came to some endpoints, and drops the entries that `is_current` rejects, at a
    /// constant price on average.
    fn note(
        &mut self,
        relay: &NodeId,
        endpoints: Vec<Endpoint>,
        is_current: impl Fn(&NodeId, &Endpoint) -> bool,
    ) {
        for endpoint in endpoints {
            self.by_endpoint.insert(endpoint, *relay);
        }
        if self.by_endpoint.len() > 2 * self.pruned_to + 1024 {
            self.by_endpoint
                .retain(|endpoint, owner| is_current(owner, endpoint));
            self.pruned_to = self.by_endpoint.len();
        }
    }
}

impl Inner {
    /// One attempt to register; beside no other one, if relays must not share endpoints. The
    /// caller may be pinned, by this guard.
    #[inline(always)]
    pub(super) fn attempt(
        &self,
        request: &Request<'_>,
        now: Moment,
        guard: Option<Guard>,
    ) -> Result<Registration, AttemptError> {
        match &self.endpoint_owners {
            EndpointOwners(None) => {
                let guard = guard.unwrap_or_else(epoch::pin);
                self.try_register(request, now, &guard)
            }
            EndpointOwners(Some(owners)) => {
                drop(guard);
                self.attempt_alone(owners.lock(), request, now)
            }
        }
    }

    fn attempt_alone(
        &self,
        mut owners: MutexGuard<'_, Owners>,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<Registration, AttemptError> {
        let guard = epoch::pin();
        let endpoints = self.endpoints_after(request, now, &guard);
        self.check_unowned(&owners, request, &endpoints, &guard)?;
        let registration = self.try_register(request, now, &guard)?;
        drop(guard);
        owners.note(request.id, endpoints, |owner, endpoint| {
            self.live_at(owner, endpoint, &epoch::pin()).is_some()
        });
        Ok(registration)
    }

    /// The endpoints that the relay takes: if the registration gives no further ones, a local
    /// relay that is live or returns keeps those that it had.
    fn endpoints_after(&self, request: &Request<'_>, now: Moment, guard: &Guard) -> Vec<Endpoint> {
        let mut endpoints = vec![request.endpoint.clone()];
        let options = request.options.details.as_deref();
        match options.and_then(|options| options.also_at.as_ref()) {
            _ if request.origin == Origin::Learned => {}
            Some(given) => endpoints.extend_from_slice(given),
            None if request.is_whole => {}
            None => {
                let table = &self.relays.table;
                let record = table.find_known(request.hash, request.id, guard);
                let record = record.map(RecordRef::observe);
                let kept = record.filter(|record| {
                    record.word().is_live() || record.word().is_remembered_at(now.tick)
                });
                let last = kept.and_then(|record| record.announcement());
                endpoints.extend_from_slice(last.map_or(&[], Announcement::also_at));
            }
        }
        endpoints
    }

    /// Rejects a relay at the endpoint of another live one. One that was learned makes way for a
    /// local one, if no other endpoint is taken.
    fn check_unowned(
        &self,
        owners: &Owners,
        request: &Request<'_>,
        endpoints: &[Endpoint],
        guard: &Guard,
    ) -> Result<(), AttemptError> {
        let mut learned = None;
        for endpoint in endpoints {
            let owner = owners.by_endpoint.get(endpoint);
            let Some(owner) = owner.filter(|owner| *owner != request.id) else {
                continue;
            };
            let Some(live) = self.live_at(owner, endpoint, guard) else {
                continue;
            };
            if !live.word().is_live_at(self.relays.timeline.tick()) {
                self.expiry.expire(&self.relays, live);
                return Err(AttemptError::Conflict);
            }
            if live.announcement().origin == Origin::Learned && request.origin == Origin::Local {
                learned = Some(live);
                continue;
            }
            return Err(AttemptError::Rejected(RegisterError::EndpointTaken {
                endpoint: endpoint.clone(),
                by: *owner,
            }));
        }
        match learned {
            Some(live) => {
                self.remove_learned(*live);
                Err(AttemptError::LearnedRemoved)
            }
            None => Ok(()),
        }
    }

    /// The record of a relay that has taken an endpoint, and has not departed.
    fn live_at<'g>(
        &'g self,
        relay: &NodeId,
        endpoint: &Endpoint,
        guard: &'g Guard,
    ) -> Option<LiveRecord<'g>> {
        let table = &self.relays.table;
        let record = table.find_known(table.hash(relay), relay, guard)?;
        let live = record.observe_live()?;
        let announcement = live.announcement();
        let is_there = match announcement.origin {
            Origin::Local => announcement.is_at(endpoint),
            Origin::Learned => announcement.endpoint == *endpoint,
        };
        is_there.then_some(live)
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::registry::{Maintenance, Registry};
    use crate::time::{ManualClock, Tick};
    use std::net::SocketAddr;
    use std::time::Duration;

    /// A thread that renews a relay has read it before its deadline. Then another relay takes
    /// its endpoint. Then the first thread goes on.
    #[test]
    fn a_renewal_that_read_an_earlier_tick_fails_once_the_endpoint_is_taken() {
        let (clock, ttl) = (ManualClock::new(), Duration::from_secs(5));
        let registry = Registry::builder()
            .maintenance(Maintenance::Manual)
            .clock(clock.clone())
            .ttl(ttl)
            .one_id_per_endpoint(true)
            .build()
            .unwrap();
        let endpoint = SocketAddr::from(([192, 0, 2, 1], 4433));
        let (late, other) = (NodeId::from([1; 32]), NodeId::from([2; 32]));
        registry.register(late, endpoint).unwrap();
        let guard = epoch::pin();
        let renewed = registry.inner().live_at(&late, &endpoint.into(), &guard);
        let renewed = renewed.unwrap();

        clock.advance(ttl);
        let outcome = registry.register(other, endpoint);
        assert_eq!(outcome, Ok(Registration::New));
        assert!(!renewed.postpone(Tick(renewed.word().deadline().0 + 100)));
        assert_eq!(registry.at(&endpoint.into()), [other]);
    }
}
