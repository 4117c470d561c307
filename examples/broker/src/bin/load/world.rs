//! The world: relays in data centres of sixty cities, and peers at home there.
//!
//! Round trips are those of the example relay_world. Network coordinates are computed as peers compute them: each site
//! measures others, and moves its coordinate ([`Vivaldi`]).

use crate::args::Args;
use crate::cities;
use crate::matrix::Matrix;
use fastrand::Rng;
use relay_registry::{Coordinate, NodeId, PeerView, Vivaldi};
use std::time::Duration;

/// The cities, in the order of the matrix.
const CITIES: [&str; 60] = [
    "london",
    "new-york",
    "sydney",
    "paris",
    "frankfurt",
    "amsterdam",
    "madrid",
    "lisbon",
    "milan",
    "zurich",
    "vienna",
    "warsaw",
    "stockholm",
    "helsinki",
    "copenhagen",
    "dublin",
    "athens",
    "bucharest",
    "kyiv",
    "istanbul",
    "moscow",
    "tel-aviv",
    "dubai",
    "riyadh",
    "cairo",
    "casablanca",
    "lagos",
    "accra",
    "nairobi",
    "johannesburg",
    "cape-town",
    "karachi",
    "mumbai",
    "delhi",
    "chennai",
    "almaty",
    "bangkok",
    "singapore",
    "kuala-lumpur",
    "jakarta",
    "manila",
    "hong-kong",
    "taipei",
    "shanghai",
    "seoul",
    "tokyo",
    "perth",
    "auckland",
    "toronto",
    "chicago",
    "atlanta",
    "miami",
    "dallas",
    "denver",
    "los-angeles",
    "seattle",
    "mexico-city",
    "bogota",
    "sao-paulo",
    "santiago",
];

/// The label that some sessions ask for.
pub const LABEL: &str = "udp";
/// The share of the capacity of all relays that is taken when each peer has a session.
const UTILISATION: f64 = 0.6;
/// How often each site measures another one, to find its coordinate.
const ROUNDS: usize = 300;
/// How many peers measure each relay: a position is used once so many agree on it, which takes some tens.
const ENOUGH: usize = 100;
/// Of how many peers one is nearer to the other than a random pair: most traffic is local.
const NEAREST_OF: usize = 3;

pub struct World {
    pub relays: Vec<Relay>,
    pub peers: Vec<Peer>,
    rtts: Matrix,
    /// For each site.
    coordinates: Vec<Coordinate>,
    views: Vec<PeerView>,
}

#[derive(Clone)]
pub struct Relay {
    pub id: NodeId,
    pub endpoint: String,
    pub capacity: u32,
    pub labels: Vec<&'static str>,
    pub failure_domain: String,
    /// The operator keeps relays of tier 1 for times of need.
    pub tier: u8,
    pub site: usize,
}

#[derive(Clone, Copy)]
pub struct Peer {
    pub id: NodeId,
    site: usize,
}

impl World {
    pub fn new(args: &Args) -> Self {
        let mut rng = Rng::with_seed(args.seed);
        let rtts = cities::matrix();
        let relays = relays(args, sites_per_city(&rtts), &mut rng);
        let coordinates = coordinates(&rtts, &mut rng);
        let views = (0..rtts.nodes()).map(|site| view(site, &relays, &rtts, coordinates[site]));
        Self {
            views: views.collect(),
            peers: (0..args.peers).map(|_| peer(&rtts, &mut rng)).collect(),
            relays,
            rtts,
            coordinates,
        }
    }

    /// What a peer knows of itself: the round trips to the nearest relays, and its coordinate.
    pub fn view(&self, peer: &Peer) -> PeerView {
        self.views[peer.site]
    }

    /// In how many rounds peers measure three relays each, before they know which are near, so that each relay is measured
    /// by enough of them.
    pub fn rounds(&self) -> usize {
        let measured = self.peers.len() * PeerView::MAX_MEASURED;
        (self.relays.len() * ENOUGH).div_ceil(measured)
    }

    /// The view of a peer in one of these rounds.
    pub fn early_view(&self, at: usize, round: usize) -> PeerView {
        let site = self.peers[at].site;
        let first = (round * self.peers.len() + at) * PeerView::MAX_MEASURED;
        let relays = first..first + PeerView::MAX_MEASURED;
        let relays = relays.map(|n| &self.relays[n % self.relays.len()]);
        measured(site, relays, &self.rtts, self.coordinates[site])
    }

    /// The peer that another one calls.
    pub fn callee(&self, caller: usize, rng: &mut Rng) -> usize {
        let others = std::iter::repeat_with(|| rng.usize(..self.peers.len()));
        let others = others.filter(|other| *other != caller).take(NEAREST_OF);
        let rtt = |other: &usize| self.rtt(self.peers[caller].site, self.peers[*other].site);
        others.min_by_key(rtt).expect("it is endless")
    }

    fn rtt(&self, one: usize, other: usize) -> Duration {
        rtt(&self.rtts, one, other)
    }
}

fn sites_per_city(rtts: &Matrix) -> usize {
    rtts.nodes() / CITIES.len()
}

/// Relays of different sizes, one in each city, and then a second one.
fn relays(args: &Args, sites: usize, rng: &mut Rng) -> Vec<Relay> {
    let count = args.relays as usize;
    let sizes: Vec<f64> = (0..count)
        .map(|_| *rng.choice(&[1.0, 2.0, 4.0]).expect("three"))
        .collect();
    let all: f64 = sizes.iter().sum();
    let unit = f64::from(args.peers) / UTILISATION / all;
    let mut cities: Vec<usize> = (0..CITIES.len()).collect();
    rng.shuffle(&mut cities);
    let relay = |n: usize| {
        let city = cities[n % cities.len()];
        let labels = [
            (n % 5 != 4, LABEL),
            (n.is_multiple_of(2), "tcp-443"),
            (n.is_multiple_of(7), "metered"),
        ];
        Relay {
            id: id(rng),
            endpoint: endpoint(CITIES[city], n / cities.len()),
            capacity: (unit * sizes[n]).ceil().max(2.0) as u32,
            labels: labels
                .iter()
                .filter_map(|(has, label)| has.then_some(*label))
                .collect(),
            failure_domain: format!("provider-{}", n % 4 + 1),
            tier: u8::from(n % 15 == 14),
            site: city * sites,
        }
    };
    (0..count).map(relay).collect()
}

/// Names that no one has (RFC 2606).
fn endpoint(city: &str, copy: usize) -> String {
    match copy {
        0 => format!("{city}.example:4433"),
        _ => format!("{city}-{}.example:4433", copy + 1),
    }
}

/// At home, at work or on the way: not in a data centre, where the relays are.
fn peer(rtts: &Matrix, rng: &mut Rng) -> Peer {
    let (city, sites) = (rng.usize(..CITIES.len()), sites_per_city(rtts));
    Peer {
        id: id(rng),
        site: city * sites + rng.usize(1..sites),
    }
}

fn id(rng: &mut Rng) -> NodeId {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    NodeId::from(bytes)
}

fn rtt(rtts: &Matrix, one: usize, other: usize) -> Duration {
    let ms = rtts.rtt_ms(one, other).expect("all pairs are known");
    Duration::from_secs_f32(ms.max(0.2) / 1e3)
}

fn coordinates(rtts: &Matrix, rng: &mut Rng) -> Vec<Coordinate> {
    let mut sites = vec![Vivaldi::new(); rtts.nodes()];
    for _ in 0..ROUNDS {
        for site in 0..sites.len() {
            let other = rng.usize(..sites.len());
            if other != site {
                let at = sites[other].coordinate();
                // A sample that does not fit is left out, as peers do.
                _ = sites[site].observe(&at, rtt(rtts, site, other));
            }
        }
    }
    sites.iter().map(Vivaldi::coordinate).collect()
}

fn view(site: usize, relays: &[Relay], rtts: &Matrix, coordinate: Coordinate) -> PeerView {
    let mut nearest: Vec<&Relay> = relays.iter().collect();
    nearest.sort_by_key(|relay| rtt(rtts, site, relay.site));
    let nearest = nearest.into_iter().take(PeerView::MAX_MEASURED);
    measured(site, nearest, rtts, coordinate)
}

fn measured<'a>(
    site: usize,
    relays: impl Iterator<Item = &'a Relay>,
    rtts: &Matrix,
    coordinate: Coordinate,
) -> PeerView {
    relays.fold(PeerView::new().coordinate(coordinate), |view, relay| {
        let measured = view.measured(relay.id, rtt(rtts, site, relay.site));
        measured.expect("it is below ten seconds, and there is room")
    })
}
