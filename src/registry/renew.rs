//! Registering again: the deadline moves, and what else is new takes effect.

use crate::registry::core::Core;
use crate::registry::register::{RegisterFailure, Registration, Request, check_reachable};
use crate::relay::{Endpoint, NodeId, RegisterOptions};
use crate::sync::epoch;
use crate::table::RecordRef;
use crate::table::record::{Announcement, Lifecycle, Origin};
use crate::time::{Moment, nanos};

impl Core {
    /// Renews a relay of which nothing is said but what it announced, as nearly
    /// all renewals do; false, and nothing changed, where more is to be done.
    ///
    /// What was announced was judged when it came, so there is nothing to judge.
    pub(super) fn renew_as_announced(
        &self,
        id: &NodeId,
        endpoint: &Endpoint,
        options: &RegisterOptions,
    ) -> bool {
        let is_renewed = self.postpone_as_announced(id, endpoint, options);
        if is_renewed {
            self.counters.count_renewal();
            self.link.note_change(id);
        }
        is_renewed
    }

    #[inline(always)]
    fn postpone_as_announced(
        &self,
        id: &NodeId,
        endpoint: &Endpoint,
        options: &RegisterOptions,
    ) -> bool {
        if options.latency.is_some() || options.restarted {
            return false;
        }
        self.postpone(id, |current| !is_news(current, endpoint, options))
    }

    /// Renews a relay that is registered here on the terms that it has.
    pub(super) fn renew_by_id(&self, id: &NodeId) -> bool {
        let is_renewed = self.postpone(id, |_| true);
        if is_renewed {
            self.counters.count_renewal();
            self.link.note_change(id);
        }
        is_renewed
    }

    /// Moves the deadline of a local relay whose terms `accept` takes.
    #[inline(always)]
    fn postpone(&self, id: &NodeId, accept: impl Fn(&Announcement) -> bool) -> bool {
        // The clock is the embedder's: it is not called while pinned.
        let now = self.timeline.advance();
        let guard = epoch::pin();
        let Some(record) = self.table.find_to_renew(id, &guard) else {
            return false;
        };
        let word = record.lifecycle();
        if !word.is_live() {
            return false;
        }
        let current = record.announcement(word);
        if current.origin != Origin::Local || !accept(current) {
            return false;
        }
        let Some(deadline) = self.timeline.deadline(now, current.ttl_nanos) else {
            return false;
        };
        // A renewal that was held up takes nothing from a later one.
        let deadline = deadline.max(word.deadline());
        let tick = self.timeline.tick();
        let is_renewed = word.is_live_at(tick)
            && deadline > tick
            && deadline <= Lifecycle::LAST_DEADLINE
            && record.postpone(word, deadline);
        if is_renewed {
            self.show_renewed(&record, word);
        }
        is_renewed
    }

    /// A search may have left the relay out at the very tick of its old deadline.
    #[inline(always)]
    fn show_renewed(&self, record: &RecordRef<'_>, before: Lifecycle) {
        if !before.is_live_at(self.publication().context.judged_at()) {
            record.refresh(true);
        }
    }

    /// Replaces deadline, endpoint and what else is new; or clears away a
    /// record that has expired.
    pub(super) fn renew(
        &self,
        record: RecordRef<'_>,
        word: Lifecycle,
        request: &Request<'_>,
        now: Moment,
    ) -> Result<Registration, RegisterFailure> {
        if !word.is_live_at(now.tick) {
            // It is late, and comes back from there.
            self.expire(record, word);
            return Err(RegisterFailure::Overtaken);
        }
        let current = record.announcement(word);
        match (current.origin, request.origin) {
            (Origin::Learned, Origin::Local) => {
                // What another node claimed is not what this relay announces.
                self.remove_learned(record);
                return Err(RegisterFailure::MadeWay);
            }
            (Origin::Local, Origin::Learned) => return Err(RegisterFailure::Overtaken),
            _ => {}
        }
        if request.options.restarted && record.load().leases() > 0 {
            return self.restart(record, word, request, now);
        }
        let amended = amended(current, request);
        if let Some(amended) = &amended {
            check_reachable(&amended.endpoint, amended.nat)?;
        }
        let ttl_nanos = amended.as_ref().unwrap_or(current).ttl_nanos;
        let mut deadline = self.deadline(now, ttl_nanos)?;
        if ttl_nanos == current.ttl_nanos {
            // A renewal that was held up takes nothing from a later one.
            deadline = deadline.max(word.deadline());
        }
        let is_sooner = deadline < word.deadline();
        let _in_flight = is_sooner.then(|| self.in_flight());
        let tick = self.timeline.tick();
        let in_time = word.is_live_at(tick) && deadline > tick;
        // With a higher capacity the relay may have room from here on.
        let note = amended.is_some().then(|| record.announce());
        if !in_time || !record.renew(word, deadline, amended)? {
            return Err(RegisterFailure::Overtaken);
        }
        // A renewal on the same terms has none to copy, and no note: it must not put a
        // figure that it read before over one that was raised since.
        if note.is_some() {
            record.copy_capacity();
        }
        self.show_renewed(&record, word);
        if request.options.restarted {
            record.report_load_of_others(0);
        }
        if let Some(micros) = request.rtt_seed {
            self.seed_rtt(&record, now.nanos, micros);
        }
        if is_sooner {
            self.table.announce_to_wheel(&record);
        }
        Ok(Registration::Renewed)
    }
}

/// The announcement after a renewal, if it says anything new.
pub(super) fn amended(current: &Announcement, request: &Request<'_>) -> Option<Announcement> {
    let options = request.options;
    if !is_news(current, request.endpoint, options) {
        return None;
    }
    let capacity = options.capacity.unwrap_or(current.capacity);
    let ttl = options.ttl.unwrap_or(current.ttl());
    let failure_domain = options.failure_domain.as_ref();
    Some(Announcement {
        nat: options.nat.or(current.nat),
        origin: current.origin,
        failure_domain: failure_domain.or(current.failure_domain.as_ref()).cloned(),
        registered_at: current.registered_at,
        ..Announcement::new(request.endpoint.clone(), capacity, ttl)
    })
}

#[inline(always)]
fn is_news(current: &Announcement, endpoint: &Endpoint, options: &RegisterOptions) -> bool {
    *endpoint != current.endpoint
        || options.capacity.is_some_and(|new| new != current.capacity)
        || options
            .ttl
            .is_some_and(|new| nanos(new) != current.ttl_nanos)
        || options.nat.is_some_and(|new| current.nat != Some(new))
        || (options.failure_domain.is_some() && options.failure_domain != current.failure_domain)
}
