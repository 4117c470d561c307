//! A registry in a random state, and the true state of its relays.

use super::question::Question;
use super::relay::{Change, Relay, State};
use crate::common::*;
use proptest::prelude::*;
use relay_registry::{Failure, FindOptions, NodeId, RegisterOptions, Registration};
use std::mem;

/// The most relays of a registry here.
pub const MANY: usize = 2_000;
/// So many different filters have trees.
const FILTERS: u32 = 16;

/// Which search trees there are when the calls are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trees {
    /// No merge was made.
    Arrivals,
    /// Those of all relays; the filter was not asked for before.
    OfAll,
    /// Also those of the filter.
    OfFilter,
    /// Those of all relays and of as many other filters as have trees.
    OfOtherFilters,
}

/// The registry, and its true state.
pub struct Scene {
    pub world: World,
    pub relays: Vec<Relay>,
    pub question: Question,
    /// Since the last merge.
    pub departures: usize,
}

impl Scene {
    pub fn new(relays: Vec<Relay>, question: Question, trees: Trees) -> Self {
        // So there are no last resorts, and no back-off ends.
        let world = world_with(|builder| {
            let builder = builder.max_relays(MANY).max_ejected_share(1.0);
            builder.back_off(secs(60), secs(600))
        });
        let mut scene = Self {
            world,
            relays,
            question,
            departures: 0,
        };
        scene.join(|relay| relay.change != Change::Arrived);
        scene.merge(trees);
        scene.join(|relay| relay.change == Change::Arrived);
        scene.renew();
        scene.enter_states();
        scene
    }

    pub fn all(&self) -> impl Iterator<Item = (u32, &Relay)> {
        (0..).zip(&self.relays)
    }

    fn join(&self, is_now: impl Fn(&Relay) -> bool) {
        for (n, relay) in self.all().filter(|(_, relay)| is_now(relay)) {
            // The operator may speak before the relay is known.
            let is_early = n % 2 == 0;
            if is_early {
                self.let_the_operator_speak(n);
            }
            let joined = self.register(n, &relay.first_announcement(n));
            assert_eq!(joined, Registration::New);
            if let Some(rtt) = relay.rtt {
                self.world.measure(n, rtt);
            }
            self.world.report(n, relay.load);
            if !is_early && relay.change != Change::Renewed {
                self.let_the_operator_speak(n);
            }
        }
    }

    fn register(&self, n: u32, announcement: &RegisterOptions) -> Registration {
        let endpoint = self.relay(n).reach.endpoint(n);
        let outcome = self.world.register_with(id(n), endpoint, announcement);
        outcome.expect("room")
    }

    fn let_the_operator_speak(&self, n: u32) {
        let relay = self.relay(n);
        if relay.is_by_operator {
            assert_eq!(self.world.set_tier(&id(n), relay.tier), Ok(()));
            assert_eq!(self.world.set_cost(&id(n), relay.cost_factor()), Ok(()));
        }
    }

    /// Gives each relay another life in the same registry. Of the former one nothing is left but a failure
    /// domain that is not named anew, and the back-off: no report by id ends it.
    pub fn change(&mut self, relays: Vec<Relay>) {
        let former = mem::replace(&mut self.relays, relays);
        for (relay, former) in self.relays.iter_mut().zip(&former) {
            relay.domain = relay.domain.or(former.domain);
            if former.state == State::BackingOff {
                relay.state = State::BackingOff;
            }
        }
        for (n, former) in (0..).zip(&former) {
            self.change_one(n, former.state);
        }
        self.enter_states();
    }

    fn change_one(&self, n: u32, former: State) {
        let (world, relay) = (&self.world, self.relay(n));
        let outcome = match former.is_gone() {
            true => Registration::Returned,
            false => Registration::Renewed,
        };
        assert_eq!(self.register(n, &relay.announcement(n)), outcome);
        world.lift(&id(n));
        self.let_the_operator_speak(n);
        assert!(world.forget_rtt(&id(n)));
        if let Some(rtt) = relay.rtt {
            world.measure(n, rtt);
        }
        world.report(n, relay.load);
    }

    pub fn merge(&mut self, trees: Trees) {
        // A call for a home searches the trees that it asks for, even if the first relay that is met would do.
        let ask = |options: &FindOptions| _ = self.world.find_home_relay(options);
        match trees {
            Trees::Arrivals => return,
            // Free units are counted once a call has asked for several.
            Trees::OfAll => ask(&FindOptions::new().units(self.question.units)),
            Trees::OfFilter => ask(&self.options()),
            Trees::OfOtherFilters => {
                let other = |n| FindOptions::new().avoid([format!("other {n}")]);
                (0..FILTERS).for_each(|n| ask(&other(n)));
                self.world.maintain();
                ask(&self.options());
            }
        }
        self.world.maintain();
        self.world.maintain();
        self.departures = 0;
    }

    fn renew(&self) {
        for (n, relay) in self.all() {
            if relay.change == Change::Renewed {
                let renewed = self.register(n, &relay.announcement(n));
                assert_eq!(renewed, Registration::Renewed);
                self.let_the_operator_speak(n);
            }
        }
    }

    fn enter_states(&mut self) {
        let world = &self.world;
        for (n, relay) in self.all() {
            match relay.state {
                State::Fine | State::Excluded | State::Lapsed => {}
                State::Draining => world.drain(n),
                State::Banned => world.ban_for(n, secs(60)),
                State::BackingOff => world.fail(n, Failure::TimedOut),
                State::Left => world.leave(n),
            }
        }
        world.advance(secs(1));
        // A ban raises the tick and changes nothing else here.
        assert_eq!(world.ban(&non_relay(), secs(60)), Ok(()));
        self.departures += self
            .all()
            .filter(|(_, relay)| relay.state.is_gone())
            .count();
    }

    /// By these, lists are in the order of scores.
    pub fn options(&self) -> FindOptions {
        self.options_with_spread().max_spread_cost(0.0)
    }

    /// The same with the default spread.
    pub fn options_with_spread(&self) -> FindOptions {
        let excluded = self
            .all()
            .filter(|(_, relay)| relay.state == State::Excluded);
        self.question
            .options()
            .exclude(excluded.map(|(n, _)| id(n)))
    }

    pub fn relay(&self, n: u32) -> &Relay {
        &self.relays[n as usize]
    }

    pub fn relay_of(&self, id: NodeId) -> &Relay {
        self.relay(number(id))
    }

    pub fn is_eligible(&self, relay: &Relay) -> bool {
        self.question.admits(relay)
    }

    pub fn eligible(&self) -> impl Iterator<Item = (u32, &Relay)> {
        self.all().filter(|(_, relay)| self.is_eligible(relay))
    }
}

pub fn trees() -> impl Strategy<Value = Trees> {
    prop_oneof![
        Just(Trees::Arrivals),
        Just(Trees::OfAll),
        Just(Trees::OfFilter),
        Just(Trees::OfOtherFilters),
    ]
}
