//! Orders of relays for where the peers are.
//!
//! The base is sorted by the round trip from this node, which says little about
//! the path to a target far away. So the space of network coordinates is cut
//! into *districts*, each around the position of some relay, the districts as
//! far from each other as can be (Gonzalez, *Clustering to minimize the maximum
//! intercluster distance*, 1985). For each that peers in use are in, a merge
//! prepares two orders of the best few hundred relays: by the path from here to
//! the middle of the district, and by the distance to it alone, for requesters
//! elsewhere.
//!
//! A find that meets a district without orders notes that it is wanted, makes do
//! with the base, and leaves the rest to the next merge.

use crate::rtt::Coordinate;
use crate::select::order::{Entry, Order};
use crate::select::positions::Positions;
use crate::sync::{Arc, AtomicU64, Ordering};

/// Districts there are at most: a bit each in a word.
const DISTRICTS: usize = 32;
/// Relays in an order at most.
const PER_ORDER: usize = 256;
/// Relays that the middles of districts are chosen from.
const SURVEYED: usize = 1024;
/// Merges without any use after which a district's orders are dropped.
const IDLE_MERGES: u32 = 256;

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Districts {
    districts: Box<[District]>,
    /// Those in use since the last merge, a bit each.
    used: AtomicU64,
    /// How many relays had a position when the districts were laid out.
    located: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct District {
    middle: Coordinate,
    orders: Option<Arc<Orders>>,
    idle_merges: u32,
}

/// The best relays of a district, by either measure.
#[derive(Debug)]
pub(crate) struct Orders {
    /// By the path from this node through the relay to the middle.
    pub(crate) by_path: Order,
    /// By the leg from the relay to the middle.
    pub(crate) by_leg: Order,
}

impl Districts {
    /// The orders for a peer at `coordinate`, if they are ready, and how far
    /// the peer is from the middle they were made for.
    pub(crate) fn around(&self, coordinate: &Coordinate) -> Option<(&Orders, u32)> {
        let distances = self
            .districts
            .iter()
            .map(|d| d.middle.micros_to(coordinate));
        let (number, distance) = distances.enumerate().min_by_key(|&(_, micros)| micros)?;
        self.note_use(number);
        Some((self.districts[number].orders.as_deref()?, distance))
    }

    /// Written only by the first to use a district since the last merge, so
    /// that finds do not contend.
    fn note_use(&self, number: usize) {
        let bit = 1 << number;
        // Relaxed: a hint for the next merge.
        if self.used.load(Ordering::Relaxed) & bit == 0 {
            self.used.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Whether a district is in use that has no orders.
    pub(crate) fn are_wanted(&self) -> bool {
        self.districts
            .iter()
            .enumerate()
            .any(|(number, district)| district.orders.is_none() && self.is_used(number))
    }

    fn is_used(&self, number: usize) -> bool {
        self.used.load(Ordering::Relaxed) >> number & 1 != 0
    }

    /// The districts after a merge into `entries`, sorted by round trip.
    pub(crate) fn next(&self, entries: &[Entry], positions: &Positions) -> Self {
        if positions.is_empty() {
            return Self::default();
        }
        let located = || {
            let position = |entry: &Entry| positions.of(entry.relay).copied();
            entries
                .iter()
                .filter_map(move |entry| Some((*entry, position(entry)?)))
        };
        let count = located().count();
        let mut next = if self.still_fit(count) {
            self.aged()
        } else {
            self.laid_out_anew(located().map(|(_, position)| position), count)
        };
        for district in &mut next.districts {
            let wanted = district.idle_merges < IDLE_MERGES;
            district.orders = wanted.then(|| Arc::new(Orders::new(district.middle, located())));
        }
        next
    }

    /// As long as about as many relays have positions.
    fn still_fit(&self, located: usize) -> bool {
        !self.districts.is_empty() && (self.located / 2..=self.located * 2).contains(&located)
    }

    /// The same districts, those not used a merge older.
    fn aged(&self) -> Self {
        let aged = |(number, district): (usize, &District)| District {
            idle_merges: if self.is_used(number) {
                0
            } else {
                district.idle_merges.saturating_add(1)
            },
            ..district.clone()
        };
        Self {
            districts: self.districts.iter().enumerate().map(aged).collect(),
            used: AtomicU64::default(),
            located: self.located,
        }
    }

    /// Other districts; in use are those that the middles of the used ones are in.
    fn laid_out_anew(&self, positions: impl Iterator<Item = Coordinate>, located: usize) -> Self {
        let step = located.div_ceil(SURVEYED).max(1);
        let surveyed: Vec<Coordinate> = positions.step_by(step).collect();
        let mut districts: Box<[District]> = far_apart(&surveyed)
            .into_iter()
            .map(|middle| District {
                middle,
                orders: None,
                idle_merges: u32::MAX,
            })
            .collect();
        for (number, district) in self.districts.iter().enumerate() {
            if self.is_used(number) || district.orders.is_some() {
                let nearest = districts
                    .iter_mut()
                    .min_by_key(|other| other.middle.micros_to(&district.middle));
                if let Some(nearest) = nearest {
                    nearest.idle_merges = 0;
                }
            }
        }
        Self {
            districts,
            used: AtomicU64::default(),
            located,
        }
    }
}

impl Orders {
    /// Of relays given with their round trip from here and their position.
    fn new(middle: Coordinate, located: impl Iterator<Item = (Entry, Coordinate)>) -> Self {
        let (by_path, by_leg) = located
            .map(|(entry, position)| {
                let leg = middle.micros_to(&position);
                let path = entry.micros + leg;
                let Entry { relay, .. } = entry;
                (
                    Entry {
                        micros: path,
                        relay,
                    },
                    Entry { micros: leg, relay },
                )
            })
            .unzip();
        Self {
            by_path: shortest(by_path),
            by_leg: shortest(by_leg),
        }
    }
}

fn shortest(mut entries: Vec<Entry>) -> Order {
    if entries.len() > PER_ORDER {
        entries.select_nth_unstable_by_key(PER_ORDER, |entry| entry.micros);
        entries.truncate(PER_ORDER);
    }
    Order::new(entries, 0)
}

/// Positions of which each is, in its turn, the farthest from those before.
fn far_apart(surveyed: &[Coordinate]) -> Vec<Coordinate> {
    let mut middles: Vec<Coordinate> = surveyed.first().copied().into_iter().collect();
    let mut to_nearest = vec![u32::MAX; surveyed.len()];
    while middles.len() < DISTRICTS.min(surveyed.len()) {
        let newest = middles[middles.len() - 1];
        for (distance, position) in to_nearest.iter_mut().zip(surveyed) {
            *distance = newest.micros_to(position).min(*distance);
        }
        let farthest = (0..surveyed.len()).max_by_key(|&place| to_nearest[place]);
        middles.extend(farthest.map(|place| surveyed[place]));
    }
    middles
}
