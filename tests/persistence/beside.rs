//! Saves beside threads that change the registry.

use crate::assert_is;
use crate::common::{endpoint, id, number, options, secs, world_of};
use relay_registry::{Failure, Maintenance, RegisterError, Registration, Registry};
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Relays up to here stay throughout; those above come and go.
const STAY: u32 = 1_500;
const ALL: u32 = 6_000;

#[test]
fn a_save_holds_who_stays_and_nobody_who_was_never_there() {
    let world = world_of(ALL as usize);
    (0..STAY).for_each(|n| world.join_with(n, &options().tier((n % 3) as u8)));
    /// Ends the threads also if this one panics.
    struct Ending<'a>(&'a AtomicBool);
    impl Drop for Ending<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let _ending = Ending(&is_over);
        for thread in 0..2 {
            let (world, is_over) = (&world, &is_over);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(thread);
                while !is_over.load(Ordering::Relaxed) {
                    let n = rng.u32(STAY..ALL);
                    match rng.u32(0..4) {
                        0 => _ = world.unregister(&id(n)),
                        1 => _ = world.report_failure(&id(rng.u32(0..STAY)), Failure::Refused),
                        // Moves to another record, if it has a lease.
                        2 => {
                            let stays = rng.u32(0..STAY);
                            let _lease = world.lease(&id(stays));
                            let restarted = options().restarted(true);
                            let at = endpoint(stays);
                            registered(world.register_with(id(stays), at, &restarted));
                        }
                        _ => registered(world.register_with(id(n), endpoint(n), &options())),
                    }
                }
            });
        }
        for _ in 0..15 {
            let save = crate::saved(&world);
            let restored = Registry::builder()
                .max_relays(ALL as usize)
                .maintenance(Maintenance::Manual)
                .restore(&save[..])
                .expect("a whole save")
                .build()
                .unwrap();
            let relays = restored.relays();
            for relay in &relays {
                let n = number(relay.node_id());
                assert!(n < ALL, "it was never there");
                assert_eq!(*relay.endpoint(), endpoint(n));
                let tier = if n < STAY { (n % 3) as u8 } else { 0 };
                assert_eq!(relay.tier(), tier);
            }
            let stayed = |n: &u32| restored.is_relay(&id(*n));
            // One that restarts is absent for a moment, by its own word.
            assert!((0..STAY).filter(stayed).count() as u32 >= STAY - 2);
        }
    });
}

/// A writer is the embedder's code: it may call the registry, and take all the time.
#[test]
fn a_writer_may_call_the_registry() {
    struct Calling<'a>(&'a Registry, u32);
    impl Write for Calling<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = 10_000 + self.1;
            self.1 += 1;
            self.0.register(id(n), endpoint(n)).unwrap();
            self.0.ban(&id(n), secs(100)).unwrap();
            self.0
                .update_peer(&id(n), crate::common::published([(n, secs(1))]));
            self.0.maintain();
            let mut inner = Vec::new();
            self.0.save(&mut inner)?;
            assert!(self.0.unregister(&id(n)));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let world = world_of(ALL as usize);
    (0..2_000).for_each(|n| world.join(n));
    let _ = world.coordinate();
    let mut writer = Calling(&world, 0);
    world.save(&mut writer).unwrap();
    assert!(writer.1 > 2, "it was called more than once");
}

#[test]
fn a_writer_that_fails_is_the_callers_error() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.0.min(bytes.len());
            self.0 -= room;
            match room {
                0 => Err(io::ErrorKind::StorageFull.into()),
                _ => Ok(room),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let world = world_of(ALL as usize);
    (0..2_000).for_each(|n| world.join(n));
    let len = crate::saved(&world).len();
    for room in [0, 1, 1_000, len / 2, len - 1] {
        let error = world.save(Full(room)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
    assert!(world.save(Full(len)).is_ok());
}

/// On a busy machine a thread may rest inside a call for so long that records run short. Then a
/// registration is refused, and changes nothing.
fn registered(outcome: Result<Registration, RegisterError>) {
    if let Err(error) = outcome {
        assert_is!(error, RegisterError::Backlogged { .. });
    }
}
