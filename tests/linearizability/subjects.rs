//! The subjects of histories: relays in a registry, and subjects that are known to be correct or wrong.

use crate::common::{World, id, non_relay, secs};
use crate::recorder::{RELAYS, Subject};
use crate::relay::{Answer, Operation, Relay, Terms};
use relay_registry::{
    Endpoint, FindOptions, Lease, LeaseError, RegisterOptions, Registration, RelayInfo,
};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::thread;

/// Relays in a registry that is not used otherwise.
pub struct InRegistry(pub World);

/// Options that exclude the other relays of the history.
fn only(relay: u32) -> FindOptions {
    let first = relay - relay % RELAYS;
    let others = (first..first + RELAYS).filter(|other| *other != relay);
    FindOptions::new().exclude(others.map(id))
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::from(SocketAddr::from(([9, 9, 9, 9], port)))
}

fn terms(info: &RelayInfo) -> Terms {
    Terms {
        port: info.endpoint().port(),
        capacity: info.capacity(),
    }
}

fn yes_or_no(yes: bool) -> Answer {
    if yes { Answer::Yes } else { Answer::No }
}

fn seen(info: Option<RelayInfo>) -> Answer {
    info.map_or(Answer::Unseen, |info| Answer::Seen(terms(&info)))
}

impl Subject for InRegistry {
    type Lease = Lease;

    fn forget(&self, relay: u32) {
        self.0.unregister(&id(relay));
        self.0.lift(&id(relay));
        self.0.maintain();
    }

    fn act(
        &self,
        relay: u32,
        operation: Operation,
        returned: Option<Lease>,
    ) -> (Answer, Option<Lease>) {
        let world = &self.0;
        let id = id(relay);
        let answer = match operation {
            Operation::Register(Terms { port, capacity }) => {
                let options = RegisterOptions::new().capacity(capacity).ttl(secs(600));
                match world.register_with(id, endpoint(port), &options) {
                    Ok(Registration::New) => Answer::New,
                    Ok(Registration::Returned) => Answer::Returned,
                    Ok(Registration::Renewed) => Answer::Renewed,
                    Ok(other) => panic!("a kind of registration that this does not know: {other}"),
                    Err(error) => panic!("there is room: {error}"),
                }
            }
            Operation::Unregister => yes_or_no(world.unregister(&id)),
            Operation::IsRelay => yes_or_no(world.is_relay(&id)),
            Operation::Relay => seen(world.relay(&id)),
            Operation::Find => seen(world.find_relay_with(&non_relay(), &only(relay)).ok()),
            Operation::Lease(_, units) => match world.lease_units(&id, units) {
                Ok(lease) => return (Answer::Leased, Some(lease)),
                Err(LeaseError::UnknownRelay) => Answer::Unknown,
                Err(LeaseError::Full { capacity, .. }) => Answer::Full(capacity),
                Err(error) => panic!("unexpected: {error}"),
            },
            Operation::Reserve(_, units) => {
                match world.reserve(&non_relay(), &only(relay).units(units)) {
                    Ok(lease) => return (Answer::Leased, Some(lease)),
                    Err(_) => Answer::Unseen,
                }
            }
            Operation::Release(_) => {
                drop(returned);
                Answer::Done
            }
            Operation::SetTier(tier) => {
                assert_eq!(world.set_tier(&id, tier), Ok(()));
                Answer::Done
            }
            // Whether there was anything to lift is not asked: several calls at once may say so.
            Operation::Lift => {
                world.lift(&id);
                Answer::Done
            }
            Operation::Tier => {
                let info = world.relay(&id);
                info.map_or(Answer::Unseen, |info| Answer::InTier(info.tier()))
            }
        };
        (answer, None)
    }
}

/// The specification behind a lock, which is correct.
pub struct Locked(Vec<Mutex<Relay>>);

impl Locked {
    pub fn new(histories: u32) -> Self {
        let relays = 0..histories * RELAYS;
        Self(relays.map(|_| Mutex::default()).collect())
    }
}

impl Subject for Locked {
    type Lease = ();

    fn forget(&self, _: u32) {}

    fn act(&self, relay: u32, operation: Operation, _: Option<()>) -> (Answer, Option<()>) {
        let mut state = self.0[relay as usize].lock().expect("no panic");
        let (answer, after) = state.answer(&operation);
        *state = after;
        (answer, (answer == Answer::Leased).then_some(()))
    }
}

/// The same with a fault: it reads the state, and acts on it later.
pub struct CheckThenAct(pub Locked);

impl Subject for CheckThenAct {
    type Lease = ();

    fn forget(&self, _: u32) {}

    fn act(&self, relay: u32, operation: Operation, _: Option<()>) -> (Answer, Option<()>) {
        let state = &self.0.0[relay as usize];
        let seen = state.lock().expect("no panic").clone();
        let (answer, after) = seen.answer(&operation);
        thread::yield_now();
        *state.lock().expect("no panic") = after;
        (answer, (answer == Answer::Leased).then_some(()))
    }
}
