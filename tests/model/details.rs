//! What only some relays announce: labels, further endpoints, and a failure domain.

use super::address::address_fault;
use super::{Address, Refusal};
use std::collections::BTreeSet;

const MOST_LABELS: usize = 8;
const MOST_FURTHER_ENDPOINTS: usize = 8;
const LONGEST_LABEL: usize = 32;
const LONGEST_DOMAIN: usize = 63;

/// What is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Details<E> {
    pub labels: BTreeSet<String>,
    /// Without the main endpoint, each once.
    pub also_at: Vec<E>,
    pub domain: Option<String>,
}

/// What a registration sets, as it is given.
#[derive(Clone, Debug, PartialEq)]
pub struct DetailChange<E> {
    pub labels: Option<Vec<String>>,
    pub also_at: Option<Vec<E>>,
    pub domain: Option<String>,
}

impl<E> Default for Details<E> {
    fn default() -> Self {
        Self {
            labels: BTreeSet::new(),
            also_at: Vec::new(),
            domain: None,
        }
    }
}

impl<E> Default for DetailChange<E> {
    fn default() -> Self {
        Self {
            labels: None,
            also_at: None,
            domain: None,
        }
    }
}

impl<E: Address> Details<E> {
    /// Those of a relay at `main` after a registration.
    pub(super) fn changed(&self, change: &DetailChange<E>, main: &E) -> Self {
        let labels = change.labels.as_ref();
        Self {
            labels: labels.map_or_else(|| self.labels.clone(), |it| it.iter().cloned().collect()),
            also_at: further(change.also_at.as_ref().unwrap_or(&self.also_at), main),
            domain: change.domain.clone().or_else(|| self.domain.clone()),
        }
    }

    /// The change that leads to these details, but for what `change` sets.
    pub(super) fn kept(&self, change: &DetailChange<E>) -> DetailChange<E> {
        let labels = || self.labels.iter().cloned().collect();
        let also_at = || self.also_at.clone();
        DetailChange {
            labels: change.labels.clone().or_else(|| Some(labels())),
            also_at: change.also_at.clone().or_else(|| Some(also_at())),
            domain: change.domain.clone().or_else(|| self.domain.clone()),
        }
    }
}

impl<E: Address> DetailChange<E> {
    /// Why a registration at `main` is refused that sets these.
    pub(super) fn faults(&self, main: &E, public_only: bool) -> Vec<Refusal> {
        let labels: BTreeSet<&String> = self.labels.iter().flatten().collect();
        let invalid = labels.iter().filter(|label| !is_valid_label(label));
        let mut faults: Vec<_> = invalid
            .map(|label| Refusal::Label((*label).clone()))
            .collect();
        faults.extend((labels.len() > MOST_LABELS).then_some(Refusal::TooManyLabels(labels.len())));
        let domain = self.domain.as_ref().filter(|name| !is_valid_domain(name));
        faults.extend(domain.map(|name| Refusal::Domain(name.len())));
        let given = self.also_at.as_deref().unwrap_or_default();
        let of_endpoints = given.iter().filter_map(|it| address_fault(it, public_only));
        faults.extend(of_endpoints.map(Refusal::FurtherAddress));
        let count = further(given, main).len();
        let are_too_many = count > MOST_FURTHER_ENDPOINTS;
        faults.extend(are_too_many.then_some(Refusal::TooManyEndpoints(count)));
        faults
    }
}

fn is_valid_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len()) && !label.chars().any(char::is_control)
}

fn is_valid_domain(name: &str) -> bool {
    (1..=LONGEST_DOMAIN).contains(&name.len()) && !name.chars().any(char::is_control)
}

fn further<E: Address>(given: &[E], main: &E) -> Vec<E> {
    given.iter().fold(Vec::new(), |mut kept, endpoint| {
        if endpoint != main && !kept.contains(endpoint) {
            kept.push(endpoint.clone());
        }
        kept
    })
}
