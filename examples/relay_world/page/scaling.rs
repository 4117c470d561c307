//! Places for nodes of which only round trips are known: multidimensional scaling by stress majorisation.
//!
//! Each step moves every node to the mean of the places at which its measured round trips to the others
//! would be exact. A pair counts by the inverse of its round trip, between the error in ms and the error as
//! a share. Pairs that were not measured do not count.

use fastrand::Rng;

const STEPS: usize = 60;
/// How often it begins anew, from other random places; the best result is kept.
const STARTS: u64 = 3;
/// Round trips below this count as this.
const LEAST_MS: f64 = 1.0;

pub type Place = (f64, f64);

pub struct Scaled {
    /// In ms; only distances matter.
    pub places: Vec<Place>,
    /// By which share of the round trip half of the pairs are wrong at most.
    pub error: f64,
}

/// A measured pair: the number of the other node, and the round trip.
type Measured = (usize, f64);

/// Places `nodes` nodes; `rtt` answers in ms.
pub fn scale(nodes: usize, rtt: impl Fn(usize, usize) -> Option<f32>) -> Scaled {
    let measured = |from: usize| {
        let to = (0..nodes).filter(|&to| to != from);
        let pairs = to.filter_map(|to| Some((to, both_ways(&rtt, from, to)?.max(LEAST_MS))));
        pairs.collect()
    };
    let measured: Vec<Vec<Measured>> = (0..nodes).map(measured).collect();
    let starts = (1..=STARTS).map(|start| {
        let places = lay_down(settle(&measured, start));
        let error = median_error(&measured, &places);
        Scaled { places, error }
    });
    let best = starts.min_by(|one, other| one.error.total_cmp(&other.error));
    best.unwrap_or(Scaled {
        places: Vec::new(),
        error: 0.0,
    })
}

/// The mean of both directions, or the one that was measured.
fn both_ways(rtt: &impl Fn(usize, usize) -> Option<f32>, one: usize, other: usize) -> Option<f64> {
    match (rtt(one, other), rtt(other, one)) {
        (Some(there), Some(back)) => Some(f64::from(there + back) / 2.0),
        (there, back) => there.or(back).map(f64::from),
    }
}

fn settle(measured: &[Vec<Measured>], start: u64) -> Vec<Place> {
    let mut rng = Rng::with_seed(start);
    let mut somewhere = || rng.f64() * 200.0 - 100.0;
    let mut places: Vec<Place> = measured
        .iter()
        .map(|_| (somewhere(), somewhere()))
        .collect();
    for _ in 0..STEPS {
        for node in 0..places.len() {
            if let Some(place) = better(&measured[node], &places, places[node]) {
                places[node] = place;
            }
        }
    }
    places
}

/// Where a node should be, as the others are now. `None` if none of its round trips was measured.
fn better(measured: &[Measured], places: &[Place], (x, y): Place) -> Option<Place> {
    let (mut sum_x, mut sum_y, mut weights) = (0.0, 0.0, 0.0);
    for &(other, rtt) in measured {
        let (other_x, other_y) = places[other];
        let stretch = rtt / distance((x, y), (other_x, other_y)).max(1e-9);
        let weight = 1.0 / rtt;
        sum_x += weight * (other_x + (x - other_x) * stretch);
        sum_y += weight * (other_y + (y - other_y) * stretch);
        weights += weight;
    }
    (weights > 0.0).then(|| (sum_x / weights, sum_y / weights))
}

/// Turns the places so that they are spread more to the sides than up and down.
fn lay_down(places: Vec<Place>) -> Vec<Place> {
    let count = places.len().max(1) as f64;
    let sum = places
        .iter()
        .fold((0.0, 0.0), |sum, it| (sum.0 + it.0, sum.1 + it.1));
    let (mean_x, mean_y) = (sum.0 / count, sum.1 / count);
    let (mut across, mut up, mut both) = (0.0, 0.0, 0.0);
    for (x, y) in &places {
        let (x, y) = (x - mean_x, y - mean_y);
        across += x * x;
        up += y * y;
        both += x * y;
    }
    // The angle of the principal axis.
    let (sin, cos) = (0.5 * f64::atan2(2.0 * both, across - up)).sin_cos();
    let turn = |(x, y): Place| (x * cos + y * sin, y * cos - x * sin);
    places.into_iter().map(turn).collect()
}

pub fn distance((x, y): Place, (other_x, other_y): Place) -> f64 {
    (x - other_x).hypot(y - other_y)
}

fn median_error(measured: &[Vec<Measured>], places: &[Place]) -> f64 {
    let pairs = measured.iter().enumerate().flat_map(|(from, pairs)| {
        let error =
            move |&(to, rtt): &Measured| (distance(places[from], places[to]) - rtt).abs() / rtt;
        pairs.iter().map(error)
    });
    let mut errors: Vec<f64> = pairs.collect();
    errors.sort_by(f64::total_cmp);
    errors.get(errors.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_found_again_by_its_distances() {
        let mut rng = Rng::with_seed(5);
        let truth: Vec<Place> = (0..40)
            .map(|_| (rng.f64() * 300.0, rng.f64() * 150.0))
            .collect();
        // A fifth of the pairs is missing.
        let rtt =
            |a: usize, b: usize| ((a + b) % 5 != 0).then(|| distance(truth[a], truth[b]) as f32);
        let scaled = scale(truth.len(), rtt);
        assert!(scaled.error < 0.02, "{}", scaled.error);
        assert_eq!(scaled.places, scale(truth.len(), rtt).places);
    }

    #[test]
    fn places_are_turned_to_the_side_without_a_change_of_distances() {
        let steep = vec![(0.0, 0.0), (3.0, 4.0), (30.0, 40.0)];
        let flat = lay_down(steep.clone());
        assert!((distance(flat[0], flat[2]) - 50.0).abs() < 1e-9);
        assert!(flat.iter().all(|place| (place.1 - flat[0].1).abs() < 1e-9));
        assert!(lay_down(Vec::new()).is_empty());
    }

    #[test]
    fn a_node_without_a_measured_pair_is_somewhere_and_harms_none() {
        let scaled = scale(3, |a, b| (a < 2 && b < 2).then_some(50.0));
        assert!((distance(scaled.places[0], scaled.places[1]) - 50.0).abs() < 0.1);
        assert!(scaled.places[2].0.is_finite());
        assert!(scale(0, |_, _| None).places.is_empty());
    }
}
