//! Any registry: what it says before and after.

use crate::common::{capacity, endpoint, id, options, place};
use crate::{Machine, said};
use proptest::prelude::*;
use relay_registry::{Failure, NodeId, PeerView, RegisterOptions, Registration};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Register {
        n: u32,
        options: u32,
    },
    Leave {
        n: u32,
    },
    Measure {
        n: u32,
        micros: u32,
    },
    Fail {
        n: u32,
        refused: bool,
    },
    Succeed {
        n: u32,
    },
    Ban {
        n: u32,
        secs: u64,
    },
    Drain {
        n: u32,
        draining: bool,
    },
    Tier {
        n: u32,
        tier: u8,
    },
    Cost {
        n: u32,
        thousandths: u32,
    },
    Lift {
        n: u32,
    },
    View {
        n: u32,
        relay: u32,
        micros: u32,
        x: f32,
    },
    Wait {
        millis: u64,
    },
    Maintain,
}

fn step() -> impl Strategy<Value = Step> {
    let n = 0..12_u32;
    prop_oneof![
        4 => (n.clone(), any::<u32>()).prop_map(|(n, options)| Step::Register { n, options }),
        1 => n.clone().prop_map(|n| Step::Leave { n }),
        3 => (n.clone(), 0..1_000_000_u32).prop_map(|(n, micros)| Step::Measure { n, micros }),
        2 => (n.clone(), any::<bool>()).prop_map(|(n, refused)| Step::Fail { n, refused }),
        1 => n.clone().prop_map(|n| Step::Succeed { n }),
        1 => (n.clone(), 0..2_000_u64).prop_map(|(n, secs)| Step::Ban { n, secs }),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, draining)| Step::Drain { n, draining }),
        1 => (n.clone(), any::<u8>()).prop_map(|(n, tier)| Step::Tier { n, tier }),
        1 => (n.clone(), 100..=10_000_u32)
            .prop_map(|(n, thousandths)| Step::Cost { n, thousandths }),
        1 => n.clone().prop_map(|n| Step::Lift { n }),
        1 => (n.clone(), n.clone(), 0..1_000_000_u32, -500.0..500.0_f32)
            .prop_map(|(n, relay, micros, x)| Step::View { n, relay, micros, x }),
        3 => prop_oneof![0..1_000_u64, 0..700_000_u64].prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Maintain),
    ]
}

/// The options with this number.
fn registered_with(number: u32) -> RegisterOptions {
    let is = |bit: u32| number & 1 << bit != 0;
    let mut chosen = options();
    if is(0) {
        chosen = capacity(1 + number % 1_000);
    }
    if is(1) {
        chosen = chosen.ttl(Duration::from_millis(100 + u64::from(number % 900_000)));
    }
    if is(2) {
        chosen = chosen.latency(Duration::from_micros(u64::from(number % 90_000)));
    }
    if is(3) {
        chosen = chosen.nat(relay_registry::NatType::FullCone);
    }
    if is(4) {
        chosen = chosen
            .tier(number as u8)
            .cost(0.1 + f64::from(number % 99) / 10.0);
    }
    if is(5) {
        chosen = chosen.labels(["a", "b", "ü"].iter().take(number as usize % 4));
    }
    if is(6) {
        chosen = chosen.payload(&number.to_be_bytes()[..number as usize % 5]);
    }
    if is(7) {
        chosen = chosen.also_at((0..number % 5).map(|n| endpoint(50 + n)));
    }
    if is(8) {
        chosen = chosen.failure_domain(format!("rack-{}", number % 3));
    }
    chosen
}

/// Whether each peer's view is remembered, and the registry's bans.
fn known(process: &crate::Process) -> (Vec<(NodeId, std::time::SystemTime)>, Vec<bool>) {
    let views = (0..12).map(|n| process.forget_peer(&id(100 + n)));
    (process.banned(), views.collect())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_registry_says_the_same_before_and_after(steps in prop::collection::vec(step(), 0..60)) {
        let machine = Machine::new();
        // No outage: what failed in one is on trial after a restart.
        let first = machine.start(|builder| builder.max_ejected_share(1.0));
        for step in steps {
            match step {
                Step::Register { n, options } => {
                    let _ = first.register_with(id(n), endpoint(n), &registered_with(options));
                }
                Step::Leave { n } => _ = first.unregister(&id(n)),
                Step::Measure { n, micros } => {
                    first.record_rtt(&id(n), Duration::from_micros(micros.into()));
                }
                Step::Fail { n, refused } => {
                    let failure = if refused { Failure::Refused } else { Failure::TimedOut };
                    first.report_failure(&id(n), failure);
                }
                Step::Succeed { n } => _ = first.report_success(&id(n)),
                Step::Ban { n, secs } => first.ban(&id(n), Duration::from_secs(secs)).unwrap(),
                Step::Drain { n, draining } => first.set_draining(&id(n), draining).unwrap(),
                Step::Tier { n, tier } => first.set_tier(&id(n), tier).unwrap(),
                Step::Cost { n, thousandths } => {
                    first.set_cost(&id(n), f64::from(thousandths) / 1_000.0).unwrap();
                }
                Step::Lift { n } => _ = first.lift(&id(n)),
                Step::View { n, relay, micros, x } => {
                    let rtt = Duration::from_micros(micros.into());
                    let view = PeerView::new().measured(id(relay), rtt).unwrap();
                    first.update_peer(&id(100 + n), view.coordinate(place(x, 1.0)));
                }
                Step::Wait { millis } => first.wait(Duration::from_millis(millis)),
                Step::Maintain => _ = first.maintain(),
            }
        }
        first.maintain();
        let save = crate::saved(&first);
        let second = machine.start(|builder| {
            builder.max_ejected_share(1.0).restore(&save[..]).unwrap()
        });
        prop_assert_eq!(said(&second), said(&first));
        prop_assert_eq!(second.stats().remembered, first.stats().remembered);
        // A second save says the same as the first.
        let third = machine.start(|builder| {
            let again = crate::saved(&second);
            builder.max_ejected_share(1.0).restore(&again[..]).unwrap()
        });
        prop_assert_eq!(said(&third), said(&first));
        // Those that return are what they were, and the others are new.
        for n in 0..12 {
            let outcomes = [&first, &second, &third].map(|it| it.register(id(n), endpoint(n)));
            prop_assert_eq!(&outcomes[0], &outcomes[1]);
            prop_assert_eq!(&outcomes[0], &outcomes[2]);
            if outcomes[0] == Ok(Registration::New) {
                // Circuits of relays that were forgotten are not saved.
                for process in [&first, &second, &third] {
                    process.reset_circuit(&id(n));
                }
            }
            let back = [&first, &second, &third].map(|it| it.relay(&id(n)).map(|it| crate::said_of(&it)));
            prop_assert_eq!(&back[0], &back[1], "{}", n);
            prop_assert_eq!(&back[0], &back[2], "{}", n);
        }
        let expected = known(&first);
        prop_assert_eq!(known(&second), expected.clone());
        prop_assert_eq!(known(&third), expected);
    }
}
