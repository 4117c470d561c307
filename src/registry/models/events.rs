//! Models of events: the last one of a relay says what the relay is.

use super::{TTL, id, register, registry};
use crate::events::{Event, Events};
use crate::registry::Registry;
use crate::sync::{check, yield_point};
use loom::thread;

/// Whether the relay is live, and whether it is draining, as of the events.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Copy {
    is_live: bool,
    is_draining: bool,
}

impl Copy {
    fn of(registry: &Registry) -> Self {
        let relay = registry.relays().pop();
        Self {
            is_live: relay.is_some(),
            is_draining: relay.is_some_and(|relay| relay.is_draining()),
        }
    }

    fn follow(mut self, events: &Events) -> Self {
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Left { .. } | Event::Expired { .. } => {
                    self = Self {
                        is_live: false,
                        is_draining: false,
                    };
                }
                event => {
                    if let Some(relay) = event.relay() {
                        self = Self {
                            is_live: true,
                            is_draining: relay.is_draining(),
                        };
                    }
                }
            }
        }
        self
    }
}

/// Runs two calls beside each other; the copy that follows the events is right afterwards.
fn a_copy_is_right_after(
    preemptions: usize,
    is_there: bool,
    calls: [fn(&Registry); 2],
    subscribes_first: bool,
) {
    check(preemptions, move || {
        let (_, registry) = registry();
        if is_there {
            register(&registry, 1).unwrap();
        }
        let subscribed = subscribes_first.then(|| (registry.events(), Copy::of(&registry)));
        let [first, second] = calls;
        let other = registry.clone();
        let thread = thread::spawn(move || {
            yield_point();
            first(&other);
        });
        yield_point();
        second(&registry);
        let (events, copy) = subscribed.unwrap_or_else(|| {
            let events = registry.events();
            let copy = Copy::of(&registry);
            (events, copy)
        });
        thread.join().unwrap();
        assert_eq!(copy.follow(&events), Copy::of(&registry));
    });
}

fn leave(registry: &Registry) {
    registry.unregister(&id(1));
}

fn join(registry: &Registry) {
    // It may find a relay that is just leaving.
    let _ = register(registry, 1);
}

fn drain(registry: &Registry) {
    registry.set_draining(&id(1), true).unwrap();
}

fn undrain(registry: &Registry) {
    registry.set_draining(&id(1), false).unwrap();
}

fn nothing(_: &Registry) {}

#[test]
fn a_relay_that_leaves_beside_a_subscription_is_not_kept() {
    a_copy_is_right_after(2, true, [leave, nothing], false);
}

#[test]
fn a_relay_that_joins_beside_a_subscription_is_not_missed() {
    a_copy_is_right_after(2, false, [join, nothing], false);
}

#[test]
fn a_relay_that_comes_back_while_it_leaves_is_live_by_its_last_event() {
    a_copy_is_right_after(2, true, [leave, join], true);
}

#[test]
fn a_relay_that_joins_while_it_is_removed_is_what_its_last_event_says() {
    a_copy_is_right_after(2, false, [join, leave], true);
}

#[test]
fn draining_that_begins_and_ends_at_once_is_what_the_last_event_says() {
    a_copy_is_right_after(2, true, [drain, undrain], true);
}

/// The subscriber reads all relays at the deadline of this one, which a renewal from before that
/// postpones afterwards.
#[test]
fn a_relay_that_is_renewed_at_its_deadline_beside_a_subscription_is_not_missed() {
    check(2, || {
        let (clock, registry) = registry();
        register(&registry, 1).unwrap();
        clock.advance(TTL / 2);
        let other = registry.clone();
        let renewing = thread::spawn(move || {
            let _ = other.renew(&id(1));
            yield_point();
        });
        yield_point();
        clock.advance(TTL / 2);
        let events = registry.events();
        let copy = Copy::of(&registry);
        renewing.join().unwrap();
        assert_eq!(copy.follow(&events), Copy::of(&registry));
    });
}
