//! Histories of real threads on something real.

use crate::checker::Call;
use crate::relay::{Answer, Operation, Relay, Terms, Token};
use std::hint;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

pub const THREADS: usize = 3;
const OPERATIONS: u32 = 4;
/// Relays in use at a time; what each must do does not depend on the other.
pub const RELAYS: u32 = 2;
const CAPACITIES: [u32; 3] = [1, 2, 3];

/// What is recorded: some relays, and leases on them.
pub trait Subject: Sync {
    type Lease: Send;

    /// Does an operation on one of the relays; with the lease, if one was taken.
    fn act(
        &self,
        relay: u32,
        operation: Operation,
        returned: Option<Self::Lease>,
    ) -> (Answer, Option<Self::Lease>);
}

/// Whether a relay's capacity may change while it is registered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    Fixed,
    Changing,
}

/// Where threads meet without going to sleep, so that they start at the same moment.
struct Gate {
    arrived: AtomicUsize,
}

impl Gate {
    fn pass(&self) {
        self.arrived.fetch_add(1, Ordering::SeqCst);
        while self.arrived.load(Ordering::SeqCst) < THREADS {
            thread::yield_now();
        }
    }
}

/// What one thread of one history does.
struct Actor<'a, S: Subject> {
    subject: &'a S,
    time: &'a AtomicU64,
    capacity: Capacity,
    rng: fastrand::Rng,
    next_token: Token,
    held: Vec<(u32, Token, S::Lease)>,
    history: Vec<(u32, Call<Relay>)>,
}

impl<S: Subject> Actor<'_, S> {
    fn run(mut self) -> Vec<(u32, Call<Relay>)> {
        for _ in 0..OPERATIONS {
            let pause = self.rng.u32(..60);
            match pause {
                0..20 => thread::yield_now(),
                _ => (0..pause).for_each(|_| hint::spin_loop()),
            }
            self.act();
        }
        while let Some(held) = self.held.pop() {
            self.release(held);
        }
        self.history
    }

    fn act(&mut self) {
        let relay = self.rng.u32(..RELAYS);
        self.next_token += 1;
        let operation = match self.rng.u32(..20) {
            0..5 => Operation::Register(self.terms(relay)),
            5..8 => Operation::Unregister,
            8 => Operation::IsRelay,
            9..11 => Operation::Relay,
            11..13 => Operation::Find,
            13..16 => Operation::Lease(self.next_token),
            16..18 => Operation::Reserve(self.next_token),
            _ => match self.held.pop() {
                Some(held) => return self.release(held),
                None => Operation::Relay,
            },
        };
        if let Some(lease) = self.record(relay, operation, None) {
            self.held.push((relay, self.next_token, lease));
        }
    }

    fn terms(&mut self, relay: u32) -> Terms {
        let capacity = match self.capacity {
            Capacity::Fixed => CAPACITIES[relay as usize],
            Capacity::Changing => CAPACITIES[self.rng.usize(..CAPACITIES.len())],
        };
        Terms {
            port: self.rng.u16(1..),
            capacity,
        }
    }

    fn release(&mut self, (relay, token, lease): (u32, Token, S::Lease)) {
        self.record(relay, Operation::Release(token), Some(lease));
    }

    fn record(
        &mut self,
        relay: u32,
        operation: Operation,
        returned: Option<S::Lease>,
    ) -> Option<S::Lease> {
        let began = self.time.fetch_add(1, Ordering::SeqCst);
        let (answer, lease) = self.subject.act(relay, operation, returned);
        let ended = self.time.fetch_add(1, Ordering::SeqCst);
        let call = Call {
            began,
            operation,
            answer,
            ended,
        };
        self.history.push((relay, call));
        lease
    }
}

/// Has all threads act at once, and returns what happened to each relay.
pub fn record<S: Subject>(subject: &S, capacity: Capacity, seed: u64) -> Vec<Vec<Call<Relay>>> {
    let time = AtomicU64::new(0);
    let gate = Gate {
        arrived: AtomicUsize::new(0),
    };
    let actor = |thread: usize| Actor {
        subject,
        time: &time,
        capacity,
        rng: fastrand::Rng::with_seed(seed * THREADS as u64 + thread as u64),
        next_token: thread as u32 * 1_000,
        held: Vec::new(),
        history: Vec::new(),
    };
    let calls: Vec<_> = thread::scope(|scope| {
        let start = |thread| {
            let (gate, actor) = (&gate, actor(thread));
            scope.spawn(move || {
                gate.pass();
                actor.run()
            })
        };
        let running: Vec<_> = (0..THREADS).map(start).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
        running.into_iter().flat_map(join).collect::<Vec<_>>()
    });
    let of_relay = |relay| {
        let its_own = calls.iter().filter(|(on, _)| *on == relay);
        its_own.map(|(_, call)| call.clone()).collect()
    };
    (0..RELAYS).map(of_relay).collect()
}
