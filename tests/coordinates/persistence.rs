//! A repeated equal outlier is evidence. Varying outliers, or many at once, are not.

use std::time::Duration;

use fastrand::Rng;
use relay_registry::{Coordinate, Landmark, ObserveError, Vivaldi};

use crate::liars::{LIES, Liars};
use crate::matrix::Matrix;
use crate::round_trip;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn at(x: f32, y: f32) -> Coordinate {
    let mut position = [0.0; Coordinate::DIMENSIONS];
    (position[0], position[5]) = (x * 1e3, y * 1e3);
    Coordinate::new(position, 1_000.0, 0.0, 0.2).unwrap()
}

/// Sixteen peers on a circle of 60 ms around the node, the first of which lies or has a
/// detour.
fn peers() -> Vec<Coordinate> {
    let angle = |n: u8| f32::from(n) * std::f32::consts::TAU / 16.0;
    let peer = |n| at(60.0 * angle(n).cos(), 60.0 * angle(n).sin());
    (0..16).map(peer).collect()
}

fn honest(peer: &Coordinate) -> Duration {
    at(10.0, -20.0).rtt_to(peer)
}

/// The same, with some waiting.
fn measured(peer: &Coordinate) -> Duration {
    honest(peer) + Duration::from_micros(fastrand::u64(..8_000))
}

fn settled() -> Vivaldi {
    fastrand::seed(5);
    let mut node = Vivaldi::new();
    for _ in 0..100 {
        for peer in &peers() {
            let _ = node.observe(peer, measured(peer));
        }
    }
    node
}

/// How far the estimates to all peers but the first are off, on average, in seconds.
fn off(node: &Vivaldi) -> f32 {
    let off = |peer: &Coordinate| node.coordinate().rtt_to(peer).abs_diff(honest(peer));
    let sum: Duration = peers()[1..].iter().map(off).sum();
    sum.as_secs_f32() / 15.0
}

/// Rounds in which the first peer answers as `said`; how many of its samples were taken in.
fn rounds(node: &mut Vivaldi, mut said: impl FnMut(&Vivaldi) -> Duration) -> usize {
    let mut taken_in = 0;
    for _ in 0..100 {
        let rtt = said(node);
        taken_in += usize::from(node.observe(&peers()[0], rtt).is_ok());
        for peer in &peers()[1..] {
            let _ = node.observe(peer, measured(peer));
        }
    }
    taken_in
}

#[test]
fn a_round_trip_that_is_the_same_each_time_is_taken_in() {
    let mut node = settled();
    let before = node.coordinate().rtt_to(&peers()[0]);
    let first = node.clone().observe(&peers()[0], ms(175));
    assert!(matches!(first, Err(ObserveError::Outlier { .. })));
    let taken_in = rounds(&mut node, |_| ms(175));
    assert!((10..=40).contains(&taken_in), "gently: {taken_in}");
    assert!(node.coordinate().rtt_to(&peers()[0]) > before);
    assert!(off(&node) < 0.005, "{}", off(&node));
}

#[test]
fn a_burst_is_no_more_evidence_than_one_sample() {
    let mut node = settled();
    let before = node.coordinate();
    for _ in 0..20 {
        assert!(node.observe(&peers()[0], ms(175)).is_err());
    }
    assert_eq!(node.coordinate(), before);
}

#[test]
fn what_jumps_about_is_refused_for_ever() {
    let mut rng = Rng::with_seed(1);
    let taken_in = rounds(&mut settled(), |_| ms(200 + 40 * rng.u64(..20)));
    assert!(taken_in <= 1, "{taken_in}");
}

/// The largest round trip that is no outlier.
fn farthest(node: &Vivaldi) -> Duration {
    let estimate = node.coordinate().rtt_to(&peers()[0]);
    let (mut low, mut high) = (estimate.as_micros() as u64, 10_000_000);
    while high - low > 1 {
        let middle = (low + high) / 2;
        let is_taken_in = node
            .clone()
            .observe(&peers()[0], Duration::from_micros(middle));
        *(if is_taken_in.is_ok() {
            &mut low
        } else {
            &mut high
        }) = middle;
    }
    Duration::from_micros(low)
}

#[test]
fn repeating_itself_gains_a_liar_less_than_the_farthest_lie_that_passes() {
    // How much farther the liar is thought to be than it is.
    let gained = |node: &Vivaldi| {
        let estimate = node.coordinate().rtt_to(&peers()[0]);
        estimate.saturating_sub(honest(&peers()[0]))
    };
    let mut subtle = settled();
    assert!(rounds(&mut subtle, farthest) > 90);
    for said in [ms(175), ms(900), ms(10_000)] {
        let mut repeated = settled();
        assert!(rounds(&mut repeated, |_| said) > 10);
        let (gained, most) = (gained(&repeated), gained(&subtle));
        println!("{said:?}: {gained:?} of {most:?}");
        assert!(gained < most, "{said:?}: {gained:?} of {most:?}");
    }
}

#[test]
fn a_landmark_takes_in_what_one_peer_says_each_time() {
    fastrand::seed(2);
    let mut relay = Landmark::new();
    let mut taken_in = 0;
    for round in 0..200 {
        for (n, peer) in peers().iter().enumerate() {
            let detour = if n == 0 { ms(115) } else { ms(0) };
            let is_ok = relay.observe(peer, honest(peer) + detour).is_ok();
            taken_in += usize::from(is_ok && n == 0 && round >= 100);
        }
    }
    assert!((10..=40).contains(&taken_in), "gently: {taken_in}");
    let place = relay.coordinate().unwrap();
    for peer in &peers()[1..] {
        let off = place.rtt_to(peer).abs_diff(honest(peer));
        assert!(off < ms(8), "{off:?}");
    }
}

/// Sites in a plane, where one pair in twenty takes a detour of 115 ms.
fn world_with_detours(nodes: usize) -> Matrix {
    let mut rng = Rng::with_seed(3);
    let sites: Vec<[f32; 2]> = (0..nodes)
        .map(|_| [rng.f32() * 150.0, rng.f32() * 100.0])
        .collect();
    Matrix::from_fn(nodes, |a, b| {
        let [here, there] = [sites[a], sites[b]];
        let straight = (here[0] - there[0]).hypot(here[1] - there[1]) + 4.0;
        let draw = a.min(b) * 31 + a.max(b) * 17;
        straight + if draw % 20 == 0 { 115.0 } else { 0.0 }
    })
}

/// The share of pairs of honest nodes whose last eight samples were all refused.
fn refused_for_good(matrix: &Matrix, share: f64) -> f32 {
    const LAST: u32 = 8;
    let mut rng = Rng::with_seed(4);
    let nodes = matrix.nodes();
    let liars = Liars::telling(nodes, share, &LIES, &mut rng);
    fastrand::seed(4);
    let mut places = vec![Vivaldi::new(); nodes];
    let mut refused = vec![0; nodes * nodes];
    for _ in 0..40 * nodes {
        for node in 0..nodes {
            let peer = rng.usize(..nodes);
            if peer == node || !liars.is_honest(node) {
                continue;
            }
            let rtt = round_trip::between(matrix, node, peer).unwrap();
            let rtt = liars.delay(peer, rtt, &mut rng);
            let claim = liars.claim(peer, places[peer].coordinate(), &mut rng);
            let is_ok = claim.is_ok_and(|at| places[node].observe(&at, rtt).is_ok());
            let in_a_row = &mut refused[node * nodes + peer];
            *in_a_row = if is_ok { 0 } else { *in_a_row + 1 };
        }
    }
    let (mut pairs, mut stuck) = (0.0, 0.0);
    for node in 0..nodes {
        for peer in (0..nodes).filter(|&peer| peer != node) {
            if liars.is_honest(node) && liars.is_honest(peer) {
                pairs += 1.0;
                stuck += f32::from(u8::from(refused[node * nodes + peer] >= LAST));
            }
        }
    }
    stuck / pairs
}

#[test]
fn no_honest_pair_is_refused_for_good_because_its_path_is_a_detour() {
    let matrix = world_with_detours(60);
    for (liars, most) in [(0.0, 0.002), (0.1, 0.01), (0.3, 0.02)] {
        let share = refused_for_good(&matrix, liars);
        println!("{liars}: {share}");
        assert!(share <= most, "{liars}: {share}");
    }
}
