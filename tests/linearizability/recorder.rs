//! Records histories of real threads.

use crate::checker::Call;
use crate::relay::{Answer, Operation, Relay, Terms, Token};
use std::hint;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

pub const THREADS: usize = 3;
const OPERATIONS: u32 = 4;
/// How many relays are in use at a time. They are independent.
pub const RELAYS: u32 = 2;
const CAPACITIES: [u32; 3] = [1, 2, 3];

/// The subject of the recording: relays, with numbers unique over all histories, and leases on them.
pub trait Subject: Sync {
    type Lease: Send;

    /// The history of this relay is over.
    fn forget(&self, relay: u32);

    /// Makes an operation on a relay. Returns the lease, if one was taken.
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

/// How often a thread spins at the barrier before it yields.
const SPINS: u32 = 200;

/// A barrier of spinning threads, so that they continue at the same moment.
struct Gate(AtomicUsize);

impl Gate {
    /// Rounds of the barrier are numbered from 1.
    fn pass(&self, meeting: usize) {
        self.0.fetch_add(1, Ordering::SeqCst);
        let mut spins = 0;
        while self.0.load(Ordering::SeqCst) < meeting * THREADS {
            spins += 1;
            match spins % SPINS {
                0 => thread::yield_now(),
                _ => hint::spin_loop(),
            }
        }
    }
}

/// One of the threads.
struct Actor<'a, S: Subject> {
    subject: &'a S,
    time: &'a AtomicU64,
    capacity: Capacity,
    rng: fastrand::Rng,
    /// The first relay of the current history.
    first: u32,
    next_token: Token,
    held: Vec<(u32, Token, S::Lease)>,
    calls: Vec<(u32, Call<Relay>)>,
}

impl<S: Subject> Actor<'_, S> {
    /// Makes the calls of this thread in one history.
    fn play(&mut self) {
        for _ in 0..OPERATIONS {
            match self.rng.u32(..60) {
                0..10 => thread::yield_now(),
                spins => (10..spins).for_each(|_| hint::spin_loop()),
            }
            self.act();
        }
        while let Some(held) = self.held.pop() {
            self.release(held);
        }
    }

    fn act(&mut self) {
        let relay = self.first + self.rng.u32(..RELAYS);
        self.next_token += 1;
        let units = 1 + self.rng.u32(..5) / 4;
        let operation = match self.rng.u32(..24) {
            0..5 => Operation::Register(self.terms(relay)),
            5..8 => Operation::Unregister,
            8 => Operation::IsRelay,
            9..11 => Operation::Relay,
            11..13 => Operation::Find,
            13..16 => Operation::Lease(self.next_token, units),
            16..18 => Operation::Reserve(self.next_token, units),
            18 => Operation::SetTier(self.rng.u8(..3)),
            19 => Operation::Lift,
            20..22 => Operation::Tier,
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
            Capacity::Fixed => CAPACITIES[(relay % RELAYS) as usize],
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
        if self.rng.u32(..8) == 0 {
            thread::yield_now(); // so that calls overlap on any machine
        }
        let (answer, lease) = self.subject.act(relay, operation, returned);
        let ended = self.time.fetch_add(1, Ordering::SeqCst);
        let call = Call {
            began,
            operation,
            answer,
            ended,
        };
        self.calls.push((relay, call));
        lease
    }
}

/// Records histories of all threads, and returns one for each relay.
pub fn record<S: Subject>(
    subject: &S,
    capacity: Capacity,
    histories: u32,
) -> Vec<Vec<Call<Relay>>> {
    let time = AtomicU64::new(0);
    let gate = Gate(AtomicUsize::new(0));
    let actor = |thread: usize| Actor {
        subject,
        time: &time,
        capacity,
        rng: fastrand::Rng::with_seed(thread as u64),
        first: 0,
        next_token: thread as u32 * (u32::MAX / THREADS as u32),
        held: Vec::new(),
        calls: Vec::new(),
    };
    let run = |thread| {
        let mut actor = actor(thread);
        for history in 0..histories {
            actor.first = history * RELAYS;
            gate.pass(2 * history as usize + 1);
            actor.play();
            gate.pass(2 * history as usize + 2);
            if thread == 0 {
                (actor.first..actor.first + RELAYS).for_each(|relay| subject.forget(relay));
            }
        }
        actor.calls
    };
    let mut of_relays = vec![Vec::new(); (histories * RELAYS) as usize];
    thread::scope(|scope| {
        let run = &run;
        let running: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || run(n))).collect();
        for thread in running {
            for (relay, call) in thread.join().expect("no panic") {
                of_relays[relay as usize].push(call);
            }
        }
    });
    of_relays
}
