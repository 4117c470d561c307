//! What a DHT publishes of an announcement, and whether it can.

use super::DhtLink;
use crate::dht::{self, FailureDomain, Load, longest_record_len};
use crate::errors::RegisterError;
use crate::relay::{Details, NodeId};
use crate::table::record::Announcement;

/// What is published of an announcement. Tier and cost are this registry's own.
pub(super) fn published(announcement: &Announcement, load: Load) -> dht::Announcement {
    let &Announcement {
        ref endpoint,
        capacity,
        nat,
        origin: _,
        ttl_nanos: _,
        registered_at: _,
        tier: _,
        cost: _,
        ref details,
    } = announcement;
    let none = Details::NONE;
    let Details {
        failure_domain,
        labels,
        also_at,
        payload,
    } = details.as_deref().unwrap_or(&none);
    let domain = failure_domain.as_deref();
    dht::Announcement {
        endpoint: endpoint.clone(),
        capacity,
        nat,
        load: Some(load),
        // A registry accepts the names that records can hold, and the reverse.
        failure_domain: domain.and_then(|name| FailureDomain::new(name).ok()),
        labels: labels.clone(),
        also_at: also_at.clone(),
        payload: payload.clone(),
    }
}

impl DhtLink {
    /// Whether the relay, if it is this node's own, can be published whole.
    #[inline]
    pub(in crate::registry) fn check_publishable(
        &self,
        id: &NodeId,
        announcement: &Announcement,
    ) -> Result<(), RegisterError> {
        match self.max_record_of(id) {
            None => Ok(()),
            Some(max) => Self::check_len(announcement, max),
        }
    }

    #[inline(never)]
    fn check_len(announcement: &Announcement, max: usize) -> Result<(), RegisterError> {
        let len = longest_record_len(&published(announcement, Load::FULL));
        match len > max {
            true => Err(RegisterError::TooLargeToPublish { len, max }),
            false => Ok(()),
        }
    }
}
