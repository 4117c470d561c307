//! What must not be told of: the subscriber would be on the hot path.

use crate::common::*;
use crate::recorder::Recorder;
use relay_registry::{FindOptions, PeerView};

#[test]
fn no_operation_on_relays_says_anything() {
    let recorder = Recorder::default();
    recorder.during(|| {
        let world = world();
        let before = recorder.count();
        for n in 1..=20 {
            world.join(n);
            world.measure(n, ms(u64::from(n)));
        }
        for n in 1..=20 {
            world.renew(n);
            world.renew_with(n, &capacity(n));
            assert_eq!(world.registry.renew(&id(n)), Ok(()));
            world.report(n, 0);
            assert!(world.is_relay(&id(n)) && world.relay(&id(n)).is_some());
        }
        world.find_relay(&non_relay()).unwrap();
        world.find_home_relay(&FindOptions::new()).unwrap();
        assert_eq!(world.find_relays(&non_relay(), &all()).len(), 20);
        assert!(world.find_relay_with(&non_relay(), &within(ms(0))).is_err());
        let lease = world.reserve(&non_relay(), &FindOptions::new()).unwrap();
        lease.succeeded();
        drop(world.lease(&id(3)).unwrap());
        world.update_peer(&teacher(), published([(1, ms(3))]));
        world.update_peer(&teacher(), PeerView::new());
        world.drain(4);
        world.ban_for(5, secs(10));
        world.leave(6);
        let _ = (
            world.stats(),
            world.relays(),
            world.explain(&non_relay(), &all()),
        );
        assert_eq!(recorder.count(), before);
        // The recorder hears it if something is said.
        world.maintain();
        assert!(recorder.count() > before);
    });
}
