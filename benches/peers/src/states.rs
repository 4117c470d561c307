//! The states of the relays in which a find is measured, from idle to overrun.

use crate::instances::{Instance, Loads, Recipe, RoundTrips};
use relay_registry::{Failure, FindOptions, Lease, NodeId};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Small, so that a million relays are soon loaded.
const CAPACITY: u32 = 10;
/// In an overrun registry, on how many relays a unit is taken and released.
const IN_MOTION: usize = 1_024;

/// The state of the relays of a registry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Idle,
    /// Loads of other nodes at this share of the capacity.
    Independent(f64),
    /// Loads of the registry's own reservations.
    Equilibrium(f64),
    OneInAHundredFree,
    FullButOne,
    AllFull,
    AllFailing,
    /// All are backing off, and finds return a last resort.
    LastResorts,
    AllTooFar,
    AllDraining,
    /// All full, while another thread releases units and takes them.
    Overrun,
}

/// A registry in some state, and what it is asked.
pub struct Case {
    pub instance: Instance,
    pub options: FindOptions,
    /// Relays whose last unit is leased, when the registry is overrun.
    in_motion: Vec<NodeId>,
}

impl State {
    pub const WITH_AN_ANSWER: [Self; 7] = [
        Self::Idle,
        Self::Independent(0.6),
        Self::Equilibrium(0.3),
        Self::Equilibrium(0.6),
        Self::Equilibrium(0.85),
        Self::OneInAHundredFree,
        Self::FullButOne,
    ];
    /// Where no relay, or no more than a last resort, is to be had.
    pub const WITHOUT: [Self; 6] = [
        Self::AllFull,
        Self::AllFailing,
        Self::LastResorts,
        Self::AllTooFar,
        Self::AllDraining,
        Self::Overrun,
    ];

    pub fn name(self) -> String {
        match self {
            Self::Idle => "idle".to_owned(),
            Self::Independent(share) => format!("independent {share}"),
            Self::Equilibrium(share) => format!("equilibrium {share}"),
            Self::OneInAHundredFree => "1 % free".to_owned(),
            Self::FullButOne => "full but one".to_owned(),
            Self::AllFull => "all full".to_owned(),
            Self::AllFailing => "all failing".to_owned(),
            Self::LastResorts => "last resorts".to_owned(),
            Self::AllTooFar => "all too far".to_owned(),
            Self::AllDraining => "all draining".to_owned(),
            Self::Overrun => "overrun".to_owned(),
        }
    }

    /// Whether a find has an answer; `None` where that changes all the time.
    pub fn has_answer(self) -> Option<bool> {
        match self {
            Self::Overrun => None,
            Self::LastResorts => Some(true),
            _ => Some(!Self::WITHOUT.contains(&self)),
        }
    }

    pub fn build(self, relays: usize, seed: u64) -> Case {
        let max_ejected_share = if self == Self::AllFailing { 1.0 } else { 0.5 };
        let instance = Recipe::new(relays, RoundTrips::Measured)
            .capacity(CAPACITY)
            .loads(self.loads(relays))
            .max_ejected_share(max_ejected_share)
            .build(seed);
        self.afflict(&instance);
        let in_motion = match self {
            Self::Overrun => instance.ids[..IN_MOTION.min(relays)].to_vec(),
            _ => Vec::new(),
        };
        for id in &in_motion {
            instance.registry.report_load(id, CAPACITY - 1);
        }
        Case {
            instance,
            options: self.options(),
            in_motion,
        }
    }

    fn loads(self, relays: usize) -> Loads {
        match self {
            Self::Independent(share) => Loads::Independent(share),
            Self::Equilibrium(share) => Loads::Equilibrium(share),
            Self::OneInAHundredFree => Loads::FullBut(relays.div_ceil(100)),
            Self::FullButOne => Loads::FullBut(1),
            Self::AllFull | Self::Overrun => Loads::FullBut(0),
            _ => Loads::FullBut(relays),
        }
    }

    /// What befalls each relay beside its load.
    fn afflict(self, instance: &Instance) {
        for id in &instance.ids {
            match self {
                Self::AllFailing | Self::LastResorts => {
                    instance.registry.report_failure(id, Failure::TimedOut);
                }
                Self::AllDraining => {
                    let kept = instance.registry.set_draining(id, true);
                    kept.expect("there is room for the operator's setting");
                }
                _ => return,
            }
        }
    }

    fn options(self) -> FindOptions {
        match self {
            // All round trips are above.
            Self::AllTooFar => FindOptions::new().max_latency(Duration::from_micros(500)),
            _ => FindOptions::new(),
        }
    }
}

impl Case {
    /// Gives units back and takes them until told to stop; at once if the
    /// registry is not overrun.
    pub fn keep_in_motion(&self, is_over: &AtomicBool) {
        let registry = &self.instance.registry;
        let take = |id: &NodeId| registry.lease(id).expect("the unit that was given back");
        let mut leases: Vec<Option<Lease>> = self.in_motion.iter().map(take).map(Some).collect();
        while !leases.is_empty() && !is_over.load(Ordering::Relaxed) {
            for (id, lease) in self.in_motion.iter().zip(&mut leases) {
                drop(lease.take());
                *lease = Some(take(id));
            }
        }
    }
}
