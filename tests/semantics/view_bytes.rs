//! The bytes of a peer's view: what is written is read, and anything else is an error.

use crate::assert_is;
use crate::common::*;
use proptest::prelude::*;
use relay_registry::{
    Coordinate, CoordinateError, MAX_RTT, NodeId, NodeIdError, PeerView, PeerViewDecodeError,
};
use std::error::Error;
use std::time::Duration;

fn any_coordinate() -> impl Strategy<Value = Coordinate> {
    const MOST: f32 = 10_000_000.0;
    let axis = prop_oneof![Just(0.0), Just(-0.0), Just(MOST), -MOST..=MOST];
    let height = prop_oneof![Just(0.0), 0.0..=MOST];
    let position = prop::array::uniform8(axis);
    (position, height, -MOST..=MOST, 0.0..=Coordinate::MAX_ERROR)
        .prop_map(|(at, height, adjustment, error)| Coordinate::new(at, height, adjustment, error))
        .prop_map(|coordinate| coordinate.expect("in range"))
}

pub fn any_view() -> impl Strategy<Value = PeerView> {
    let id = prop::collection::vec(any::<u8>(), 1..=NodeId::MAX_LEN);
    let rtt = prop_oneof![Just(1), Just(10_000_000), 1..=10_000_000_u64];
    let measured = prop::collection::vec((id, rtt), 0..=PeerView::MAX_MEASURED);
    (measured, prop::option::of(any_coordinate())).prop_map(|(measured, coordinate)| {
        let view = measured.iter().fold(PeerView::new(), |view, (id, rtt)| {
            let relay = NodeId::from_bytes(id).expect("a length that may be");
            let rtt = Duration::from_micros(*rtt);
            view.measured(relay, rtt).expect("room for it")
        });
        match coordinate {
            Some(coordinate) => view.coordinate(coordinate),
            None => view,
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(view in any_view()) {
        let bytes = view.to_bytes();
        prop_assert!(bytes.len() <= PeerView::MAX_BYTES);
        prop_assert_eq!(PeerView::from_bytes(&bytes), Ok(view));
        let mut buffer = [0xee; PeerView::MAX_BYTES + 1];
        prop_assert_eq!(view.write_to(&mut buffer), Some(bytes.len()));
        prop_assert_eq!(&buffer[..bytes.len()], &bytes[..]);
        prop_assert!(buffer[bytes.len()..].iter().all(|&byte| byte == 0xee));
        let mut short = vec![0xee; bytes.len() - 1];
        prop_assert_eq!(view.write_to(&mut short), None);
        prop_assert!(short.iter().all(|&byte| byte == 0xee));
    }

    #[test]
    fn what_is_cut_off_or_followed_by_more_is_refused(view in any_view(), more in 1..9_usize) {
        let mut bytes = view.to_bytes();
        for len in 0..bytes.len() {
            let refused = PeerView::from_bytes(&bytes[..len]);
            let Err(PeerViewDecodeError::Truncated { len: named, needed, .. }) = refused else {
                panic!("{refused:?}");
            };
            prop_assert!(named == len && (len + 1..=bytes.len()).contains(&needed));
        }
        bytes.resize(bytes.len() + more, 0);
        let refused = PeerView::from_bytes(&bytes);
        assert_is!(refused, Err(PeerViewDecodeError::TrailingBytes { extra, .. }) if extra == more);
    }

    /// What is read is a view that can be made, and has these bytes.
    #[test]
    fn altered_bytes_are_a_view_or_an_error(
        view in any_view(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = view.to_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        judge(&bytes);
    }

    #[test]
    fn any_bytes_are_a_view_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        judge(&bytes);
    }

    #[test]
    fn any_bytes_of_version_1_are_a_view_or_an_error(
        form in 0..=3_u8,
        has_coordinate in any::<bool>(),
        rest in prop::collection::vec(prop_oneof![0..=4_u8, any::<u8>()], 0..80),
    ) {
        let mut bytes = vec![1, form | if has_coordinate { 128 } else { 0 }];
        bytes.extend(rest);
        judge(&bytes);
    }
}

#[track_caller]
fn judge(bytes: &[u8]) {
    match PeerView::from_bytes(bytes) {
        Ok(view) => {
            assert_eq!(view.to_bytes(), bytes);
            assert!(
                view.round_trips()
                    .all(|(_, rtt)| !rtt.is_zero() && rtt <= MAX_RTT)
            );
            // A NaN would not be equal to itself.
            assert_eq!(view, view.clone());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The layout, byte by byte: what others have written stays readable.
#[test]
fn the_layout_is_as_documented() {
    let relay = NodeId::from_bytes(&[0xaa, 0xbb]).unwrap();
    let mut position = [0.0; Coordinate::DIMENSIONS];
    position[1] = 1.5;
    let coordinate = Coordinate::new(position, 2.0, -1.0, 0.5).unwrap();
    let view = PeerView::new().measured(relay, ms(7)).unwrap();
    let mut bytes = vec![1, 1, 2, 0xaa, 0xbb, 0, 0, 0x1b, 0x58];
    assert_eq!(view.to_bytes(), bytes);
    bytes[1] |= 128;
    for float in position.into_iter().chain([2.0, -1.0, 0.5]) {
        bytes.extend(float.to_bits().to_be_bytes());
    }
    assert_eq!(view.coordinate(coordinate).to_bytes(), bytes);
    assert_eq!(PeerView::new().to_bytes(), [1, 0]);
    assert_eq!(PeerView::from_bytes(&[1, 0]), Ok(PeerView::new()));
}

#[test]
fn a_full_view_has_the_most_bytes() {
    let mut view = PeerView::new().coordinate(place(1.0, 2.0));
    for n in 0..PeerView::MAX_MEASURED {
        let relay = NodeId::from_bytes(&[n as u8; NodeId::MAX_LEN]).unwrap();
        view = view.measured(relay, ms(1)).unwrap();
    }
    assert_eq!(view.to_bytes().len(), PeerView::MAX_BYTES);
    assert_eq!(PeerView::from_bytes(&view.to_bytes()), Ok(view));
}

fn refusal(bytes: &[u8]) -> PeerViewDecodeError {
    PeerView::from_bytes(bytes).expect_err("bytes that are no view")
}

#[test]
fn each_error_names_what_is_wrong() {
    let say = |bytes: &[u8]| refusal(bytes).to_string();
    let most = NodeId::MAX_LEN;
    assert_eq!(
        say(&[]),
        "the view is cut off: it has 0 bytes, and 1 are needed"
    );
    assert_eq!(say(&[2, 0]), "the view is of version 2, not 1");
    assert_eq!(say(&[0]), "the view is of version 0, not 1");
    let form = "the second byte of the view is 4, not 0 to 3, or 128 more";
    assert_eq!(say(&[1, 4]), form);
    assert_eq!(say(&[1, 0, 9]), "the view has 1 bytes behind its end");
    let empty = "relay 0 of the view: a node id cannot be empty";
    assert_eq!(say(&[1, 1, 0]), empty);
    let long = format!("relay 0 of the view: a node id has at most {most} bytes, not 255");
    assert_eq!(say(&[1, 1, 255]), long);
    let zero = "the RTT of relay 0 of the view is 0 us, not 1 to 10000000";
    assert_eq!(say(&[1, 1, 1, 7, 0, 0, 0, 0]), zero);
    let far = "the RTT of relay 0 of the view is 10000001 us, not 1 to 10000000";
    assert_eq!(say(&[1, 1, 1, 7, 0, 0x98, 0x96, 0x81]), far);
    let twice = [1, 2, 1, 7, 0, 0, 0, 1, 1, 7, 0, 0, 0, 2];
    assert_eq!(say(&twice), "relay 1 of the view is in it twice");
    let error = refusal(&[1, 1, 0]);
    let source = error
        .source()
        .and_then(|it| it.downcast_ref::<NodeIdError>());
    assert_eq!(source, Some(&NodeIdError::Empty));
}

#[test]
fn absurd_coordinates_are_refused() {
    let good = PeerView::new().coordinate(place(1.0, 2.0)).to_bytes();
    for (at, float, part) in [
        (0, f32::NAN, "axis 0 of the position is NaN us"),
        (7, f32::INFINITY, "axis 7 of the position is inf us"),
        (2, -1.1e7, "axis 2 of the position is -11000000 us"),
        (8, -1.0, "the height is -1 us"),
        (9, f32::NEG_INFINITY, "the adjustment is -inf us"),
        (10, 99.0, "the error is 99"),
    ] {
        let mut bytes = good.clone();
        bytes[2 + 4 * at..][..4].copy_from_slice(&float.to_be_bytes());
        let error = refusal(&bytes);
        let message = error.to_string();
        assert!(message.contains(part), "{message}");
        let source = error
            .source()
            .and_then(|it| it.downcast_ref::<CoordinateError>());
        assert!(source.is_some());
    }
}

#[test]
fn a_view_tells_what_it_has() {
    let view = published([(1, ms(5)), (2, Duration::ZERO), (3, ms(7))]);
    let round_trips: Vec<_> = view.round_trips().collect();
    let zero_counts_as = Duration::from_micros(1);
    assert_eq!(
        round_trips,
        [(id(1), ms(5)), (id(2), zero_counts_as), (id(3), ms(7))]
    );
    assert_eq!(view.position(), None);
    let coordinate = place(3.0, 4.0);
    assert_eq!(view.coordinate(coordinate).position(), Some(coordinate));
    assert!(PeerView::new().is_empty() && !view.is_empty());
    assert!(!PeerView::new().coordinate(coordinate).is_empty());
}
