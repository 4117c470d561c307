//! The built-in world: 60 cities, six sites in each, round trips from geometry.
//!
//! A round trip is great-circle distance there and back at the speed of light in
//! fibre, stretched by the detours of cables and routing, plus what the last mile
//! at either end adds.
//!
//! - **Light in glass** travels at about two thirds of its speed in vacuum (the
//!   refractive index of fibre is about 1.47): 200 km per millisecond.
//! - **Detours**: work on locating hosts by delay found that end-to-end paths
//!   behave as if signals travelled at 4/9 of the speed of light (Katz-Bassett
//!   et al., "Towards IP Geolocation Using Delay and Topology Measurements",
//!   IMC 2006), which is fibre's two thirds divided by 1.5. Pairs of cities differ
//!   in that: the factor is spread evenly over 1.2 to 1.8, so that, as on the real
//!   Internet, a detour through a third city is sometimes shorter.
//! - **Last mile**: the sites of a city are a data centre, a campus, fibre, cable,
//!   DSL and a mobile link, with the round-trip times commonly seen to the first
//!   router of each. Two sites in one city are at least both their last miles apart.

use crate::matrix::Matrix;

/// Half of this per millisecond of round trip, since the way back counts too.
const FIBRE_KM_PER_MS: f64 = 200.0;
const LEAST_DETOUR: f64 = 1.2;
const DETOUR_SPREAD: f64 = 0.6;
const EARTH_RADIUS_KM: f64 = 6371.0;

/// What each kind of site adds to every round trip, in ms.
const LAST_MILE_MS: [f64; 6] = [
    0.5,  // data centre
    1.5,  // campus
    3.0,  // fibre to the home
    8.0,  // cable
    15.0, // DSL
    30.0, // mobile
];

/// Latitude and longitude in degrees, north and east positive.
const CITIES: [(f64, f64); 60] = [
    (51.51, -0.13),   // London
    (40.71, -74.01),  // New York
    (-33.87, 151.21), // Sydney
    (48.86, 2.35),    // Paris
    (50.11, 8.68),    // Frankfurt
    (52.37, 4.90),    // Amsterdam
    (40.42, -3.70),   // Madrid
    (38.72, -9.14),   // Lisbon
    (45.46, 9.19),    // Milan
    (47.38, 8.54),    // Zurich
    (48.21, 16.37),   // Vienna
    (52.23, 21.01),   // Warsaw
    (59.33, 18.07),   // Stockholm
    (60.17, 24.94),   // Helsinki
    (55.68, 12.57),   // Copenhagen
    (53.35, -6.26),   // Dublin
    (37.98, 23.73),   // Athens
    (44.43, 26.10),   // Bucharest
    (50.45, 30.52),   // Kyiv
    (41.01, 28.98),   // Istanbul
    (55.76, 37.62),   // Moscow
    (32.09, 34.78),   // Tel Aviv
    (25.20, 55.27),   // Dubai
    (24.71, 46.68),   // Riyadh
    (30.04, 31.24),   // Cairo
    (33.57, -7.59),   // Casablanca
    (6.52, 3.38),     // Lagos
    (5.60, -0.19),    // Accra
    (-1.29, 36.82),   // Nairobi
    (-26.20, 28.05),  // Johannesburg
    (-33.92, 18.42),  // Cape Town
    (24.86, 67.00),   // Karachi
    (19.08, 72.88),   // Mumbai
    (28.61, 77.21),   // Delhi
    (13.08, 80.27),   // Chennai
    (43.24, 76.89),   // Almaty
    (13.76, 100.50),  // Bangkok
    (1.35, 103.82),   // Singapore
    (3.139, 101.69),  // Kuala Lumpur
    (-6.21, 106.85),  // Jakarta
    (14.60, 120.98),  // Manila
    (22.32, 114.17),  // Hong Kong
    (25.03, 121.57),  // Taipei
    (31.23, 121.47),  // Shanghai
    (37.57, 126.98),  // Seoul
    (35.68, 139.69),  // Tokyo
    (-31.95, 115.86), // Perth
    (-36.85, 174.76), // Auckland
    (43.65, -79.38),  // Toronto
    (41.88, -87.63),  // Chicago
    (33.75, -84.39),  // Atlanta
    (25.76, -80.19),  // Miami
    (32.78, -96.80),  // Dallas
    (39.74, -104.99), // Denver
    (34.05, -118.24), // Los Angeles
    (47.61, -122.33), // Seattle
    (19.43, -99.13),  // Mexico City
    (4.71, -74.07),   // Bogota
    (-23.55, -46.63), // Sao Paulo
    (-33.45, -70.67), // Santiago
];

/// The round trips between all sites of all cities; always the same.
pub fn matrix() -> Matrix {
    let sites = LAST_MILE_MS.len();
    let between = city_rtts();
    Matrix::from_fn(CITIES.len() * sites, |a, b| {
        if a == b {
            return 0.0;
        }
        let last_miles = LAST_MILE_MS[a % sites] + LAST_MILE_MS[b % sites];
        (between[a / sites][b / sites] + last_miles) as f32
    })
}

/// City to city, in ms, before the last miles.
fn city_rtts() -> Vec<Vec<f64>> {
    let rtt = |a: usize, b: usize| {
        let there_and_back = 2.0 * great_circle_km(CITIES[a], CITIES[b]);
        there_and_back / FIBRE_KM_PER_MS * detour(a.min(b), a.max(b))
    };
    (0..CITIES.len())
        .map(|a| (0..CITIES.len()).map(|b| rtt(a, b)).collect())
        .collect()
}

/// How much longer than the great circle the path between two cities is.
fn detour(a: usize, b: usize) -> f64 {
    let pair = (a * CITIES.len() + b) as u64;
    LEAST_DETOUR + DETOUR_SPREAD * fastrand::Rng::with_seed(pair).f64()
}

/// The haversine formula.
fn great_circle_km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let half_lat = ((lat_b - lat_a) / 2.0).sin();
    let half_lon = ((b.1 - a.1).to_radians() / 2.0).sin();
    let h = half_lat.powi(2) + lat_a.cos() * lat_b.cos() * half_lon.powi(2);
    2.0 * EARTH_RADIUS_KM * h.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONDON: usize = 0;
    const NEW_YORK: usize = 1;
    const SYDNEY: usize = 2;

    #[test]
    fn distances_are_those_of_the_globe() {
        let km = |a: usize, b: usize| great_circle_km(CITIES[a], CITIES[b]);
        assert!((km(LONDON, NEW_YORK) - 5570.0).abs() < 20.0);
        assert!((km(LONDON, SYDNEY) - 16_990.0).abs() < 50.0);
        assert_eq!(km(SYDNEY, SYDNEY), 0.0);
    }

    #[test]
    fn detours_are_spread_as_told_and_alike_both_ways() {
        let rtts = city_rtts();
        let mut sum = 0.0;
        let mut pairs = 0.0;
        for a in 0..CITIES.len() {
            for b in 0..a {
                let straight = great_circle_km(CITIES[a], CITIES[b]) * 2.0 / FIBRE_KM_PER_MS;
                let factor = rtts[a][b] / straight;
                assert!((1.2..=1.8).contains(&factor), "{factor}");
                assert_eq!(rtts[a][b], rtts[b][a]);
                sum += factor;
                pairs += 1.0;
            }
        }
        assert!((sum / pairs - 1.5_f64).abs() < 0.02, "{}", sum / pairs);
    }

    #[test]
    fn sites_of_one_city_are_their_last_miles_apart() {
        let matrix = matrix();
        assert_eq!(matrix.nodes(), 360);
        assert_eq!(matrix.rtt_ms(0, 0), Some(0.0));
        assert_eq!(matrix.rtt_ms(0, 1), Some(2.0));
        assert_eq!(matrix, super::matrix());
    }
}
