//! One call: what it asks for, and what is known of the path through each relay.

use super::{Address, Filter, Model, Record, View};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a call asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Query<K> {
    pub max_results: usize,
    pub excluded: BTreeSet<K>,
    pub max_latency: Option<Duration>,
    pub allow_unmeasured: bool,
    /// Kept by a find of one relay, unless the best is much better.
    pub preferred: Option<K>,
    /// Who asks, if that is not this node.
    pub requester: Option<K>,
    /// The round trips to relays that the requester and the target measured.
    pub requester_view: Option<View<K>>,
    pub target_view: Option<View<K>>,
    /// How many units a lease takes.
    pub units: u32,
    pub filter: Filter,
}

#[derive(Clone, Debug)]
pub struct Call<K> {
    /// `None` if this node asks for a home relay: then the path is its own leg alone.
    pub target: Option<K>,
    /// With the views that count: those given, else those remembered.
    pub query: Query<K>,
    /// Legs that the registry estimates by positions, which the model does not know.
    pub estimates: BTreeMap<K, Legs<Option<Duration>>>,
}

/// The legs of a path: from the requester to the relay, and from there to the target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Legs<T> {
    pub requester: T,
    pub target: T,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Leg {
    /// This node measured it, or the peer at its end.
    Measured(Duration),
    Estimated(Duration),
    Assumed,
}

impl Leg {
    pub fn length(self, assumed_rtt: Duration) -> Duration {
        match self {
            Self::Measured(rtt) | Self::Estimated(rtt) => rtt,
            Self::Assumed => assumed_rtt,
        }
    }
}

impl<K: Copy + Ord> Call<K> {
    pub fn home(query: &Query<K>) -> Self {
        let query = Query {
            requester: None,
            requester_view: None,
            target_view: None,
            ..query.clone()
        };
        Self {
            target: None,
            query,
            estimates: BTreeMap::new(),
        }
    }

    pub fn has_views(&self) -> bool {
        self.query.requester_view.is_some() || self.query.target_view.is_some()
    }

    /// What is measured of the leg from the requester.
    pub fn requester_leg<E: Address>(&self, id: &K, relay: &Record<E>) -> Option<Duration> {
        match &self.query.requester_view {
            Some(view) => view.get(id).copied(),
            None => relay.latency(),
        }
    }

    pub fn legs<E: Address>(&self, id: &K, relay: &Record<E>) -> Legs<Leg> {
        let target_view = self.query.target_view.as_ref();
        let estimates = self.estimates.get(id).copied().unwrap_or_default();
        Legs {
            requester: leg(self.requester_leg(id, relay), estimates.requester),
            target: leg(
                target_view.and_then(|view| view.get(id).copied()),
                estimates.target,
            ),
        }
    }

    pub fn path<E: Address>(&self, id: &K, relay: &Record<E>, assumed_rtt: Duration) -> Duration {
        let legs = self.legs(id, relay);
        let target = match self.target {
            Some(_) => legs.target.length(assumed_rtt),
            None => Duration::ZERO,
        };
        legs.requester.length(assumed_rtt) + target
    }

    /// The paths through two relays, without a leg that is assumed for both.
    pub fn known_paths<E: Address>(
        &self,
        one: (&K, &Record<E>),
        other: (&K, &Record<E>),
        assumed_rtt: Duration,
    ) -> (Duration, Duration) {
        let (one, other) = (self.legs(one.0, one.1), self.legs(other.0, other.1));
        let pairs = [(one.requester, other.requester), (one.target, other.target)];
        let known = pairs
            .iter()
            .filter(|pair| **pair != (Leg::Assumed, Leg::Assumed));
        known.fold((Duration::ZERO, Duration::ZERO), |sum, (one, other)| {
            (
                sum.0 + one.length(assumed_rtt),
                sum.1 + other.length(assumed_rtt),
            )
        })
    }
}

fn leg(measured: Option<Duration>, estimated: Option<Duration>) -> Leg {
    measured.map_or_else(
        || estimated.map_or(Leg::Assumed, Leg::Estimated),
        Leg::Measured,
    )
}

impl<K: Copy + Ord, E: Address> Model<K, E> {
    /// A call for a path to `target`. Of a requester that is not known, no leg is.
    pub fn call(&self, target: K, query: &Query<K>) -> Call<K> {
        let mut query = query.clone();
        let other = query
            .requester
            .filter(|it| self.settings.local != Some(*it));
        let of_requester = || other.map(|peer| self.view_of(&peer).unwrap_or_default());
        query.requester_view = query.requester_view.take().or_else(of_requester);
        let of_target = || self.view_of(&target);
        query.target_view = query.target_view.take().or_else(of_target);
        Call {
            target: Some(target),
            query,
            estimates: BTreeMap::new(),
        }
    }
}
