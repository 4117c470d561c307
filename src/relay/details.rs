//! [`Details`]: what only some relays announce.

use super::{Cost, Endpoint, Label};
use crate::footprint::{Footprint, share_of};
use crate::sync::Arc;

/// What only some relays announce. A relay that announces none of it has no details, and
/// pays a null pointer for them.
///
/// Shared by an announcement and the descriptions that were made of it. No list is empty: a
/// relay that announces an empty one announces none.
#[derive(Debug, PartialEq)]
pub(crate) struct Details {
    pub(crate) failure_domain: Option<Arc<str>>,
    /// In the order of their names, each once.
    pub(crate) labels: Option<Arc<[Label]>>,
    /// Without the main endpoint, each once, in the order in which they were given.
    pub(crate) also_at: Option<Arc<[Endpoint]>>,
    pub(crate) payload: Option<Arc<[u8]>>,
}

impl Details {
    /// Those of a relay that announces none.
    pub(crate) const NONE: Self = Self {
        failure_domain: None,
        labels: None,
        also_at: None,
        payload: None,
    };

    /// Of shared details, and of what they point to: a share of each, if others share it.
    pub(crate) fn footprint(shared: &Arc<Self>) -> Footprint {
        let Self {
            failure_domain,
            labels,
            also_at,
            payload,
        } = &**shared;
        let each = [
            failure_domain.as_ref().map(share_of),
            labels.as_ref().map(share_of_labels),
            also_at.as_ref().map(share_of_endpoints),
            payload.as_ref().map(share_of),
        ];
        share_of(shared) + each.into_iter().flatten().sum()
    }

    /// `None` if there are none.
    pub(crate) fn shared(self) -> Option<Arc<Self>> {
        (self != Self::NONE).then(|| Arc::new(self))
    }
}

fn share_of_labels(labels: &Arc<[Label]>) -> Footprint {
    let names = labels.iter().map(|label| label.name.len()).sum::<usize>();
    share_of(labels) + Footprint::of_bytes(names / Arc::strong_count(labels))
}

fn share_of_endpoints(endpoints: &Arc<[Endpoint]>) -> Footprint {
    let names: Footprint = endpoints.iter().map(Endpoint::footprint).sum();
    share_of(endpoints) + Footprint::of_bytes(names.used / Arc::strong_count(endpoints))
}

/// What the options of a registration say of the details, and of tier and cost, which are as
/// rare. An option that is not set stays as it was; an empty list removes what there was.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct DetailOptions {
    pub(crate) failure_domain: Option<Arc<str>>,
    pub(crate) tier: Option<u8>,
    /// As it was given.
    pub(crate) cost: Option<f64>,
    /// In the order of their names, each once; the inner value is none if there are none.
    pub(crate) labels: Option<Option<Arc<[Label]>>>,
    /// As they were given.
    pub(crate) also_at: Option<Vec<Endpoint>>,
    pub(crate) payload: Option<Arc<[u8]>>,
}

impl DetailOptions {
    /// Tier and cost after a registration with these options of a relay that had others.
    pub(crate) fn rank(&self, current: (u8, Cost)) -> (u8, Cost) {
        let cost = self.cost.and_then(Cost::new);
        (self.tier.unwrap_or(current.0), cost.unwrap_or(current.1))
    }

    /// The details after a registration with these options of a relay at `endpoint` that had
    /// `current`.
    pub(crate) fn amend(
        options: Option<&Self>,
        current: Option<&Arc<Details>>,
        endpoint: &Endpoint,
    ) -> Option<Arc<Details>> {
        let is_without_main = |current: &Arc<Details>| {
            let others = current.also_at.as_deref().unwrap_or_default();
            !others.contains(endpoint)
        };
        let is_same = options.is_none_or(|options| !options.changes(current, endpoint));
        if is_same && current.is_none_or(is_without_main) {
            return current.cloned();
        }
        let unset = Self::default();
        let Self {
            failure_domain,
            tier: _,
            cost: _,
            labels,
            also_at,
            payload,
        } = options.unwrap_or(&unset);
        let current = current.map_or(&Details::NONE, |current| current);
        let also_at = match also_at {
            Some(others) => further_endpoints(others, endpoint),
            None => further_endpoints(current.also_at.as_deref().unwrap_or_default(), endpoint),
        };
        let payload = payload.clone().or_else(|| current.payload.clone());
        Details {
            failure_domain: failure_domain
                .clone()
                .or_else(|| current.failure_domain.clone()),
            labels: labels.clone().unwrap_or_else(|| current.labels.clone()),
            also_at,
            payload: payload.filter(|payload| !payload.is_empty()),
        }
        .shared()
    }

    /// Whether a registration with these options of a relay at `endpoint` changes its details.
    /// Nothing is allocated.
    pub(crate) fn changes(&self, current: Option<&Arc<Details>>, endpoint: &Endpoint) -> bool {
        let Self {
            failure_domain,
            tier: _,
            cost: _,
            labels,
            also_at,
            payload,
        } = self;
        let current = current.map_or(&Details::NONE, |current| current);
        let payload_now = current.payload.as_deref().unwrap_or_default();
        let others_now = current.also_at.as_deref().unwrap_or_default();
        (failure_domain.is_some() && *failure_domain != current.failure_domain)
            || labels.as_ref().is_some_and(|new| *new != current.labels)
            || payload.as_ref().is_some_and(|new| **new != *payload_now)
            || also_at
                .as_ref()
                .is_some_and(|new| !each_further(new, endpoint).eq(others_now))
    }

    /// How many further endpoints these options give to a relay at `endpoint`.
    pub(crate) fn further_endpoints(&self, endpoint: &Endpoint) -> usize {
        let given = self.also_at.as_deref().unwrap_or_default();
        each_further(given, endpoint).count()
    }
}

/// The endpoints without the main one, each once.
fn each_further<'a>(
    given: &'a [Endpoint],
    main: &'a Endpoint,
) -> impl Iterator<Item = &'a Endpoint> {
    let is_new = move |(at, endpoint): &(usize, &Endpoint)| {
        *endpoint != main && !given[..*at].contains(endpoint)
    };
    given
        .iter()
        .enumerate()
        .filter(is_new)
        .map(|(_, endpoint)| endpoint)
}

/// The same in a list of their own. `None` if there are none.
pub(crate) fn further_endpoints(given: &[Endpoint], main: &Endpoint) -> Option<Arc<[Endpoint]>> {
    let further: Vec<_> = each_further(given, main).cloned().collect();
    (!further.is_empty()).then(|| further.into())
}
