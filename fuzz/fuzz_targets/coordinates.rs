//! Network coordinates with any numbers: nothing panics, accepted values are in range, and a refused sample
//! changes nothing.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use relay_registry::{Coordinate, CoordinateError, Landmark, MAX_RTT, Vivaldi};
use std::time::Duration;

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Sample {
    position: [f32; Coordinate::DIMENSIONS],
    height: f32,
    adjustment: f32,
    error: f32,
    /// Whether the numbers are first brought into range, because few random ones are.
    tamed: bool,
    rtt: Rtt,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Rtt {
    Micros(u32),
    Any(Duration),
}

fuzz_target!(|samples: Vec<Sample>| {
    fastrand::seed(0);
    let (mut node, mut landmark) = (Vivaldi::new(), Landmark::new());
    for sample in samples {
        let peer = match sample.coordinate() {
            Ok(peer) => peer,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                continue;
            }
        };
        sound(&peer);
        let rtt = sample.rtt.duration();
        estimates(&peer, &node.coordinate(), rtt);

        let before = node.coordinate();
        let taken = node.observe(&peer, rtt);
        assert!(taken.is_err() || is_round_trip(rtt));
        assert!(taken.is_ok() || node.coordinate() == before);
        sound(&node.coordinate());

        let before = landmark.coordinate();
        let taken = landmark.observe(&peer, rtt);
        assert!(taken.is_err() || is_round_trip(rtt));
        assert!(taken.is_ok() || landmark.coordinate() == before);
        if let Some(at) = landmark.coordinate() {
            sound(&at);
            estimates(&at, &peer, rtt);
        }
    }
});

impl Sample {
    fn coordinate(self) -> Result<Coordinate, CoordinateError> {
        let within = |value: f32, least, most| match self.tamed {
            true if value.is_finite() => value.clamp(least, most),
            true => least,
            false => value,
        };
        Coordinate::new(
            self.position.map(|axis| within(axis, -1e7, 1e7)),
            within(self.height, 0.0, 1e7),
            within(self.adjustment, -1e7, 1e7),
            within(self.error, 0.0, Coordinate::MAX_ERROR),
        )
    }
}

impl Rtt {
    fn duration(self) -> Duration {
        match self {
            Self::Micros(micros) => Duration::from_micros(micros.into()),
            Self::Any(duration) => duration,
        }
    }
}

/// Zero, too, counts as one.
fn is_round_trip(rtt: Duration) -> bool {
    rtt <= MAX_RTT
}

/// Another node accepts the value.
fn sound(at: &Coordinate) {
    let again = Coordinate::new(at.position(), at.height(), at.adjustment(), at.error());
    assert_eq!(again.as_ref(), Ok(at));
}

fn estimates(a: &Coordinate, b: &Coordinate, rtt: Duration) {
    assert!(!a.rtt_to(b).is_zero() && is_round_trip(a.rtt_to(b)));
    assert_eq!(a.rtt_to(b), b.rtt_to(a));
    let by_landmark = a.rtt_by(&[(*b, rtt)]);
    assert_eq!(by_landmark.is_some(), is_round_trip(rtt));
    assert!(by_landmark.is_none_or(|estimate| estimate >= rtt && is_round_trip(estimate)));
}
