//! Properties of any coordinate, after any sequence of samples.

use std::time::Duration;

use proptest::array::uniform8;
use proptest::collection::vec;
use proptest::prelude::*;
use relay_registry::{Coordinate, CoordinateError, Landmark, MAX_RTT, ObserveError, Vivaldi};

const MICROS: f32 = 1e7;

type Parts = ([f32; Coordinate::DIMENSIONS], f32, f32, f32);

/// Any float, mostly special ones.
fn float() -> impl Strategy<Value = f32> {
    const EDGES: [f32; 7] = [0.0, -0.0, MICROS, -MICROS, f32::MIN_POSITIVE, 1.5, 10.0];
    prop_oneof![
        1 => any::<f32>(),
        1 => proptest::num::f32::ANY,
        2 => proptest::sample::select(&EDGES[..]),
        4 => -MICROS..MICROS,
    ]
}

fn parts() -> impl Strategy<Value = Parts> {
    (uniform8(float()), float(), float(), float())
}

fn coordinate() -> impl Strategy<Value = Coordinate> {
    let micros = || prop_oneof![-MICROS..=MICROS, -1e5_f32..1e5, Just(0.0)];
    let height = prop_oneof![0.0..=MICROS, 0.0..1e4_f32];
    (
        uniform8(micros()),
        height,
        micros(),
        0.0..=Coordinate::MAX_ERROR,
    )
        .prop_map(|(position, height, adjustment, error)| {
            Coordinate::new(position, height, adjustment, error).unwrap()
        })
}

fn rtt() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => any::<Duration>(),
        1 => Just(Duration::ZERO),
        1 => Just(MAX_RTT),
        4 => (1..=10_000_000_u64).prop_map(Duration::from_micros),
    ]
}

fn made(parts: Parts) -> Result<Coordinate, CoordinateError> {
    Coordinate::new(parts.0, parts.1, parts.2, parts.3)
}

fn parts_of(at: &Coordinate) -> Parts {
    (at.position(), at.height(), at.adjustment(), at.error())
}

/// A result can be sent to another node, which accepts it.
fn assert_sound(at: &Coordinate) {
    assert_eq!(made(parts_of(at)), Ok(*at));
}

/// A sample far from the earlier ones is refused. The error has the expected value.
#[test]
fn a_sample_that_nothing_led_to_expect_is_an_outlier() {
    let peer = Vivaldi::new().coordinate();
    let (mut node, mut landmark) = (Vivaldi::new(), Landmark::new());
    for _ in 0..60 {
        let _ = node.observe(&peer, Duration::from_millis(20));
        let _ = landmark.observe(&peer, Duration::from_millis(20));
    }
    for refused in [
        node.observe(&peer, MAX_RTT),
        landmark.observe(&peer, MAX_RTT),
    ] {
        let Err(ObserveError::Outlier { rtt, expected, .. }) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            rtt == MAX_RTT && expected < Duration::from_millis(100),
            "{expected:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_parts_make_a_coordinate_or_say_why_not(parts in parts()) {
        let around_zero = |value: f32| value.abs() <= MICROS;
        match made(parts) {
            Ok(at) => {
                prop_assert_eq!(parts_of(&at), parts);
                prop_assert!(at.position().into_iter().all(around_zero));
                prop_assert!(at.height() >= 0.0 && around_zero(at.height()));
                prop_assert!(around_zero(at.adjustment()));
                prop_assert!((0.0..=Coordinate::MAX_ERROR).contains(&at.error()));
            }
            Err(CoordinateError::Position { axis, value, .. }) => {
                prop_assert_eq!(parts.0[axis].to_bits(), value.to_bits());
                prop_assert!(!around_zero(value));
            }
            Err(CoordinateError::Height { value, .. }) => {
                prop_assert!(!(value >= 0.0 && around_zero(value)));
            }
            Err(CoordinateError::Adjustment { value, .. }) => prop_assert!(!around_zero(value)),
            Err(CoordinateError::Error { value, .. }) => {
                prop_assert!(!(0.0..=Coordinate::MAX_ERROR).contains(&value));
            }
            Err(other) => prop_assert!(false, "unforeseen: {other}"),
        }
    }

    #[test]
    fn estimates_are_symmetric_round_trips(a in coordinate(), b in coordinate()) {
        let rtt = a.rtt_to(&b);
        prop_assert_eq!(rtt, b.rtt_to(&a));
        prop_assert!(!rtt.is_zero() && rtt <= MAX_RTT);
        prop_assert!(!a.rtt_to(&a).is_zero());
    }

    #[test]
    fn estimates_by_landmarks_are_round_trips_too(
        place in coordinate(),
        landmarks in vec((coordinate(), rtt()), 0..5),
    ) {
        let is_sane = |rtt: &Duration| *rtt <= MAX_RTT;
        let are_sane = landmarks.iter().all(|(_, rtt)| is_sane(rtt));
        match place.rtt_by(&landmarks) {
            Some(estimate) => {
                prop_assert!(are_sane && is_sane(&estimate));
                prop_assert!(!estimate.is_zero());
                prop_assert!(landmarks.iter().all(|(_, rtt)| *rtt <= estimate));
            }
            None => prop_assert!(landmarks.is_empty() || !are_sane),
        }
    }

    #[test]
    fn no_sequence_of_samples_leads_out_of_bounds(
        samples in vec((parts(), coordinate(), rtt()), 1..120),
    ) {
        let (mut node, mut landmark) = (Vivaldi::new(), Landmark::new());
        for (wire, fallback, rtt) in samples {
            let peer = made(wire).unwrap_or(fallback);
            let (before, known_before) = (node.coordinate(), landmark.coordinate());
            let is_sane = rtt <= MAX_RTT;
            match node.observe(&peer, rtt) {
                Ok(()) => prop_assert!(is_sane),
                Err(ObserveError::InvalidRtt { rtt: refused, .. }) => {
                    prop_assert!(!is_sane && refused == rtt);
                    prop_assert_eq!(node.coordinate(), before);
                }
                Err(_) => prop_assert_eq!(node.coordinate(), before),
            }
            if landmark.observe(&peer, rtt).is_err() {
                prop_assert_eq!(landmark.coordinate(), known_before);
            }
            assert_sound(&node.coordinate());
            if let Some(at) = landmark.coordinate() {
                assert_sound(&at);
            }
        }
    }
}
