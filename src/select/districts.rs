//! Orders of relays for where the peers are.
//!
//! The base is sorted by the round trip from this node, which says little about
//! the path to a target far away. So the space of network coordinates is cut
//! into *districts*, each around the position of some relay, far from each other
//! (after Gonzalez, *Clustering to minimize the maximum intercluster distance*,
//! 1985, but half of them without regard to the farthest tenth). For each that peers in use are in, a merge
//! prepares two orders of the best few hundred relays: by the path from here to
//! the middle of the district, and by the distance to it alone, for requesters
//! elsewhere.
//!
//! A find that meets a district without orders notes that it is wanted, makes do
//! with the base, and leaves the rest to the next merge.

use crate::rtt::{Coordinate, Places};
use crate::select::order::{Entry, Order};
use crate::select::positions::Positions;
use crate::select::survey::{Survey, Surveyed};
use crate::sync::{Arc, AtomicU64, Ordering};

/// Districts there are at most: a bit each in a word.
const DISTRICTS: usize = Places::MANY;
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
    middles: Places,
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
    pub(crate) by_path: LocatedOrder,
    /// By the leg from the relay to the middle.
    pub(crate) by_leg: LocatedOrder,
}

/// An order, and beside it what paths through its first relays are estimated
/// from, so that this takes no look at their records.
#[derive(Debug)]
pub(crate) struct LocatedOrder {
    pub(crate) order: Order,
    pub(crate) head: Survey,
}

impl Districts {
    /// The orders for a peer at `coordinate`, if they are ready, and what the
    /// peer's legs are longer at the least than those that they were made for.
    pub(crate) fn around(&self, coordinate: &Coordinate) -> Option<(&Orders, i64)> {
        let number = self.middles.nearest(coordinate)?;
        self.note_use(number);
        let district = &self.districts[number];
        let lead = coordinate.least_lead_over(&district.middle);
        Some((district.orders.as_deref()?, lead))
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

    /// The districts after a merge into `entries`, sorted by round trip; a leg
    /// that cannot be estimated counts as `assumed_micros`.
    pub(crate) fn next(
        &self,
        entries: &[Entry],
        positions: &Positions,
        assumed_micros: u32,
    ) -> Self {
        if positions.is_empty() {
            return Self::default();
        }
        let surveyed = || {
            entries.iter().map(|entry| Surveyed {
                relay: entry.relay,
                own_micros: entry.micros,
                position: positions.of(entry.relay).copied(),
            })
        };
        let located = || surveyed().filter_map(|relay| relay.position);
        let count = located().count();
        let mut next = if self.still_fit(count) {
            self.aged()
        } else {
            self.laid_out_anew(located(), count)
        };
        for district in &mut next.districts {
            let is_wanted = district.idle_merges < IDLE_MERGES;
            let orders = || Orders::new(&district.middle, surveyed(), assumed_micros);
            district.orders = is_wanted.then(|| Arc::new(orders()));
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
            middles: self.middles.clone(),
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
                let square = |other: &District| other.middle.square_to(&district.middle);
                let nearest = districts
                    .iter_mut()
                    .min_by(|one, other| square(one).total_cmp(&square(other)));
                if let Some(nearest) = nearest {
                    nearest.idle_merges = 0;
                }
            }
        }
        let middles = Places::new(districts.iter().map(|district| Some(district.middle)));
        Self {
            districts,
            middles,
            used: AtomicU64::default(),
            located,
        }
    }
}

impl Orders {
    fn new(
        middle: &Coordinate,
        surveyed: impl Iterator<Item = Surveyed>,
        assumed_micros: u32,
    ) -> Self {
        let (mut by_path, mut by_leg) = (Shortest::default(), Shortest::default());
        for relay in surveyed {
            let leg = |position: &Coordinate| middle.micros_to(position);
            let leg = relay.position.as_ref().map_or(assumed_micros, leg);
            by_path.add(relay.own_micros + leg, relay);
            by_leg.add(leg, relay);
        }
        Self {
            by_path: by_path.into_order(),
            by_leg: by_leg.into_order(),
        }
    }
}

/// The relays with the least lengths of all that are added.
#[derive(Default)]
struct Shortest(Vec<(u32, Surveyed)>);

impl Shortest {
    fn add(&mut self, micros: u32, relay: Surveyed) {
        self.0.push((micros, relay));
        if self.0.len() == 2 * PER_ORDER {
            self.0.select_nth_unstable_by_key(PER_ORDER, Self::key);
            self.0.truncate(PER_ORDER);
        }
    }

    fn into_order(mut self) -> LocatedOrder {
        self.0.sort_unstable_by_key(Self::key);
        self.0.truncate(PER_ORDER);
        let first: Vec<_> = self
            .0
            .iter()
            .take(Places::MANY)
            .map(|(_, relay)| *relay)
            .collect();
        let entry = |&(micros, Surveyed { relay, .. }): &(u32, Surveyed)| Entry { micros, relay };
        LocatedOrder {
            head: Survey::new(&first),
            order: Order::new(self.0.iter().map(entry).collect(), 0),
        }
    }

    fn key(&(micros, relay): &(u32, Surveyed)) -> (u32, u32) {
        (micros, relay.relay.index)
    }
}

/// Positions that are far from each other, by turns the farthest from those
/// before, and one that is farther than nine tenths of all: relays can delay
/// their answers and so look as far away as they like, but those that do are few.
fn far_apart(surveyed: &[Coordinate]) -> Vec<Coordinate> {
    let mut middles: Vec<Coordinate> = surveyed.first().copied().into_iter().collect();
    let mut to_nearest: Vec<(f32, usize)> = (0..surveyed.len())
        .map(|place| (f32::INFINITY, place))
        .collect();
    while middles.len() < DISTRICTS.min(surveyed.len()) {
        let newest = middles[middles.len() - 1];
        for (square, place) in &mut to_nearest {
            *square = newest.square_to(&surveyed[*place]).min(*square);
        }
        let last = to_nearest.len() - 1;
        let rank = if middles.len() % 2 == 0 {
            last
        } else {
            last * 9 / 10
        };
        let by_distance = |one: &(f32, usize), other: &(f32, usize)| one.0.total_cmp(&other.0);
        let (_, &mut (_, farthest), _) = to_nearest.select_nth_unstable_by(rank, by_distance);
        middles.push(surveyed[farthest]);
    }
    middles
}
