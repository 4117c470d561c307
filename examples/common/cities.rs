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

/// The kinds of site, and what each adds to every round trip, in ms.
#[allow(dead_code, reason = "not every example shows it")]
pub const LAST_MILES: [(&str, f64); 6] = [
    ("data centre", 0.5),
    ("campus", 1.5),
    ("fibre", 3.0),
    ("cable", 8.0),
    ("DSL", 15.0),
    ("mobile", 30.0),
];

/// Name, latitude and longitude in degrees, north and east positive.
const CITIES: [(&str, f64, f64); 60] = [
    ("London", 51.51, -0.13),
    ("New York", 40.71, -74.01),
    ("Sydney", -33.87, 151.21),
    ("Paris", 48.86, 2.35),
    ("Frankfurt", 50.11, 8.68),
    ("Amsterdam", 52.37, 4.90),
    ("Madrid", 40.42, -3.70),
    ("Lisbon", 38.72, -9.14),
    ("Milan", 45.46, 9.19),
    ("Zurich", 47.38, 8.54),
    ("Vienna", 48.21, 16.37),
    ("Warsaw", 52.23, 21.01),
    ("Stockholm", 59.33, 18.07),
    ("Helsinki", 60.17, 24.94),
    ("Copenhagen", 55.68, 12.57),
    ("Dublin", 53.35, -6.26),
    ("Athens", 37.98, 23.73),
    ("Bucharest", 44.43, 26.10),
    ("Kyiv", 50.45, 30.52),
    ("Istanbul", 41.01, 28.98),
    ("Moscow", 55.76, 37.62),
    ("Tel Aviv", 32.09, 34.78),
    ("Dubai", 25.20, 55.27),
    ("Riyadh", 24.71, 46.68),
    ("Cairo", 30.04, 31.24),
    ("Casablanca", 33.57, -7.59),
    ("Lagos", 6.52, 3.38),
    ("Accra", 5.60, -0.19),
    ("Nairobi", -1.29, 36.82),
    ("Johannesburg", -26.20, 28.05),
    ("Cape Town", -33.92, 18.42),
    ("Karachi", 24.86, 67.00),
    ("Mumbai", 19.08, 72.88),
    ("Delhi", 28.61, 77.21),
    ("Chennai", 13.08, 80.27),
    ("Almaty", 43.24, 76.89),
    ("Bangkok", 13.76, 100.50),
    ("Singapore", 1.35, 103.82),
    ("Kuala Lumpur", 3.139, 101.69),
    ("Jakarta", -6.21, 106.85),
    ("Manila", 14.60, 120.98),
    ("Hong Kong", 22.32, 114.17),
    ("Taipei", 25.03, 121.57),
    ("Shanghai", 31.23, 121.47),
    ("Seoul", 37.57, 126.98),
    ("Tokyo", 35.68, 139.69),
    ("Perth", -31.95, 115.86),
    ("Auckland", -36.85, 174.76),
    ("Toronto", 43.65, -79.38),
    ("Chicago", 41.88, -87.63),
    ("Atlanta", 33.75, -84.39),
    ("Miami", 25.76, -80.19),
    ("Dallas", 32.78, -96.80),
    ("Denver", 39.74, -104.99),
    ("Los Angeles", 34.05, -118.24),
    ("Seattle", 47.61, -122.33),
    ("Mexico City", 19.43, -99.13),
    ("Bogota", 4.71, -74.07),
    ("Sao Paulo", -23.55, -46.63),
    ("Santiago", -33.45, -70.67),
];

/// The round trips between all sites of all cities; always the same.
pub fn matrix() -> Matrix {
    let sites = LAST_MILES.len();
    let between = city_rtts();
    Matrix::from_fn(CITIES.len() * sites, |a, b| {
        if a == b {
            return 0.0;
        }
        let last_miles = LAST_MILES[a % sites].1 + LAST_MILES[b % sites].1;
        (between[a / sites][b / sites] + last_miles) as f32
    })
}

/// Where a node of the built-in world is.
#[allow(dead_code, reason = "not every example shows it")]
pub struct Site {
    pub city: &'static str,
    /// Which of the city's sites, from 1, in the order of [`LAST_MILES`].
    pub number: usize,
    /// In degrees, north and east positive.
    pub latitude: f64,
    pub longitude: f64,
}

#[allow(dead_code, reason = "not every example shows it")]
pub fn site(node: usize) -> Site {
    let (city, latitude, longitude) = CITIES[node / LAST_MILES.len()];
    Site {
        city,
        number: node % LAST_MILES.len() + 1,
        latitude,
        longitude,
    }
}

/// City to city, in ms, before the last miles.
fn city_rtts() -> Vec<Vec<f64>> {
    let rtt = |a: usize, b: usize| {
        let there_and_back = 2.0 * great_circle_km(position(a), position(b));
        there_and_back / FIBRE_KM_PER_MS * detour(a.min(b), a.max(b))
    };
    (0..CITIES.len())
        .map(|a| (0..CITIES.len()).map(|b| rtt(a, b)).collect())
        .collect()
}

/// Latitude and longitude of a city.
fn position(city: usize) -> (f64, f64) {
    let (_, latitude, longitude) = CITIES[city];
    (latitude, longitude)
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
        let km = |a: usize, b: usize| great_circle_km(position(a), position(b));
        assert!((km(LONDON, NEW_YORK) - 5570.0).abs() < 20.0);
        assert!((km(LONDON, SYDNEY) - 16_990.0).abs() < 50.0);
        assert_eq!(km(SYDNEY, SYDNEY), 0.0);
    }

    #[test]
    fn detours_are_spread_as_told_and_alike_both_ways() {
        let rtts = city_rtts();
        let mut sum = 0.0;
        let mut pairs = 0.0;
        for (a, row) in rtts.iter().enumerate() {
            for (b, rtt) in row.iter().enumerate().take(a) {
                let straight = great_circle_km(position(a), position(b)) * 2.0 / FIBRE_KM_PER_MS;
                let factor = rtt / straight;
                assert!((1.2..=1.8).contains(&factor), "{factor}");
                assert_eq!(*rtt, rtts[b][a]);
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
