//! Where the sessions went: embedding nodes, relays, and lines between them.

use std::collections::BTreeSet;

use maud::{Markup, html};
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::chart::{self, Canvas, Error, Hints, SMALL, WIDTH, text, thousands, write};
use super::outlines::OUTLINES;
use super::palette::{INK, LAND, NODE, PLACE, REGISTRY, SOFT};
use super::places::{Kind, Places};
use super::scaling::Place;
use super::{Found, section};
use crate::conclusion::percent;
use crate::simulation::{ASSUMED_MS, Meter, Rule, Views};

/// So many of each embedding node's relays have a line.
const LINES: usize = 3;
/// So many relays have a name.
const NAMED: usize = 12;
const GREATEST_RADIUS: f64 = 17.0;
const LEAST_RADIUS: f64 = 2.5;
/// The part of the globe that is shown, in degrees.
const WEST_TO_EAST: (f64, f64) = (-170.0, 180.0);
const SOUTH_TO_NORTH: (f64, f64) = (-58.0, 72.0);
/// A degree of latitude is longer than one of longitude where most cities are.
const LATITUDE_STRETCH: f64 = 1.25;
const SCALED_HEIGHT: u32 = 600;
const MARGIN: f64 = 40.0;
/// How far the sites of one city are apart.
const APART: f64 = 5.0;

type Pixel = (i32, i32);

struct Map<'a> {
    found: &'a Found<'a>,
    places: Places,
    /// Sessions on each relay, from all embedding nodes.
    carried: Vec<u64>,
}

/// From places to pixels.
struct Projection {
    left: f64,
    top: f64,
    per_x: f64,
    per_y: f64,
    height: u32,
}

pub fn map(found: &Found<'_>) -> Result<Markup, Error> {
    let sessions = &found.simulated.trace.sessions;
    let carried = (0..found.world.relays.len())
        .map(|relay| sessions.iter().map(|of_home| of_home[relay]).sum());
    let map = Map {
        found,
        places: Places::new(found.world, found.is_built_in()),
        carried: carried.collect(),
    };
    let chart = html! {
        (map.draw()?)
        p.key {
            span { i.round style="background:var(--registry)" {} "relay; the more sessions it carried, the larger its area" }
            span { i style="background:var(--node)" {} "node with a registry, where sessions begin" }
            span { i.line {} "its three most used relays; the more sessions, the wider" }
            span { i.round.small style="background:var(--place)" {} "other nodes" }
        }
    };
    let see = format!(
        "{} The {} busiest relays have a name where there is room; the names of the others appear under the pointer. What to \
         see: a node uses relays nearby until they are so full that the longer way to an emptier one costs less. \
         A small relay nearby fills soon, so a large one farther away may carry more.",
        map.how_placed(),
        NAMED.min(map.carried.len()),
    );
    Ok(section(
        "map",
        "Where the sessions went",
        &see,
        &chart,
        &map.outcome(),
    ))
}

impl Map<'_> {
    fn how_placed(&self) -> String {
        match self.places.kind {
            Kind::Globe => {
                "Each city is at its longitude and latitude, on rough outlines of the continents."
                    .to_owned()
            }
            Kind::RoundTrips { error } => format!(
                "The matrix has no places, so nodes are placed by multidimensional scaling of its round trips \
                 (stress majorisation): the longer the round trip between two nodes, the farther they are \
                 apart. In two dimensions that is not exact: the median error of a distance is {}. Directions \
                 mean nothing.",
                percent(error)
            ),
        }
    }

    fn draw(&self) -> Result<Markup, Error> {
        let projection = self.projection();
        let size = (WIDTH, projection.height);
        chart::chart(
            "Map of relays and embedding nodes",
            size,
            |canvas, hints| {
                self.ground(canvas, &projection)?;
                self.others(canvas, &projection)?;
                self.lines(canvas, &projection)?;
                self.relays(canvas, &projection, hints)?;
                self.homes(canvas, &projection, hints)?;
                self.names(canvas, &projection)
            },
        )
    }

    fn projection(&self) -> Projection {
        match self.places.kind {
            Kind::Globe => Projection::globe(),
            Kind::RoundTrips { .. } => Projection::around(self.places.of.iter().copied().flatten()),
        }
    }

    /// Continents, or a scale.
    fn ground(&self, canvas: &Canvas<'_>, projection: &Projection) -> Result<(), Error> {
        if self.places.kind == Kind::Globe {
            for outline in OUTLINES {
                let corners: Vec<Pixel> = outline.iter().map(|&it| projection.pixel(it)).collect();
                canvas.draw(&Polygon::new(corners, LAND.filled()))?;
            }
            return Ok(());
        }
        let length = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
        let is_short = |ms: &f64| ms * projection.per_x <= 200.0;
        let ms = length.into_iter().rev().find(is_short).unwrap_or(1.0);
        let y = projection.height as i32 - 18;
        let right = 12 + (ms * projection.per_x) as i32;
        let bar = [(12, y - 5), (12, y), (right, y), (right, y - 5)];
        canvas.draw(&PathElement::new(bar, SOFT.stroke_width(1)))?;
        let words = format!("{ms} ms of round trip");
        write(
            canvas,
            &words,
            (right + 8, y - 2),
            text(SMALL, SOFT, HPos::Left),
        )
    }

    fn others(&self, canvas: &Canvas<'_>, projection: &Projection) -> Result<(), Error> {
        let places = self.places.of.iter().flatten();
        // The sites of a city are one place.
        let pixels: BTreeSet<Pixel> = places.map(|&place| projection.pixel(place)).collect();
        for pixel in pixels {
            canvas.draw(&Circle::new(pixel, 2, PLACE.filled()))?;
        }
        Ok(())
    }

    fn lines(&self, canvas: &Canvas<'_>, projection: &Projection) -> Result<(), Error> {
        let sessions = &self.found.simulated.trace.sessions;
        let most = sessions.iter().flatten().copied().max().unwrap_or(0);
        for (home, of_home) in sessions.iter().enumerate() {
            let used = greatest(of_home, LINES).into_iter();
            for relay in used.filter(|&relay| of_home[relay] > 0) {
                let ends = [
                    self.pixel(projection, self.found.world.homes[home]),
                    self.pixel(projection, self.found.world.relays[relay].node),
                ];
                let share = of_home[relay] as f64 / most as f64;
                let width = 1 + (share * 5.0).round() as u32;
                if let [Some(from), Some(to)] = ends {
                    let style = NODE.mix(0.55).stroke_width(width);
                    canvas.draw(&PathElement::new([from, to], style))?;
                }
            }
        }
        Ok(())
    }

    fn relays(
        &self,
        canvas: &Canvas<'_>,
        projection: &Projection,
        hints: &mut Hints,
    ) -> Result<(), Error> {
        // Small ones last, so that none is hidden.
        for relay in greatest(&self.carried, usize::MAX) {
            let node = self.found.world.relays[relay].node;
            if let Some(pixel) = self.pixel(projection, node) {
                let radius = self.radius(relay);
                canvas.draw(&Circle::new(pixel, radius, REGISTRY.mix(0.75).filled()))?;
                hints.at(pixel, radius, self.hint(relay));
            }
        }
        Ok(())
    }

    /// The area is in proportion to the sessions.
    fn radius(&self, relay: usize) -> i32 {
        let most = self.carried.iter().copied().max().unwrap_or(0).max(1);
        let share = self.carried[relay] as f64 / most as f64;
        (share.sqrt() * GREATEST_RADIUS).max(LEAST_RADIUS).round() as i32
    }

    fn homes(
        &self,
        canvas: &Canvas<'_>,
        projection: &Projection,
        hints: &mut Hints,
    ) -> Result<(), Error> {
        let sessions = &self.found.simulated.trace.sessions;
        for (home, &node) in self.found.world.homes.iter().enumerate() {
            if let Some((x, y)) = self.pixel(projection, node) {
                let square = [(x - 5, y - 5), (x + 5, y + 5)];
                canvas.draw(&Rectangle::new(square, NODE.filled()))?;
                let began = thousands(sessions[home].iter().sum());
                let name = self.found.name(node);
                hints.at(
                    (x, y),
                    6,
                    format!("node with a registry, {name}: {began} sessions"),
                );
            }
        }
        Ok(())
    }

    /// The embedding nodes first, then the relays that carried most. The name of a relay that would cover
    /// another one is left out.
    fn names(&self, canvas: &Canvas<'_>, projection: &Projection) -> Result<(), Error> {
        let world = self.found.world;
        let homes = world.homes.iter().map(|&node| (node, 6, true));
        let relays = greatest(&self.carried, NAMED).into_iter();
        let relays = relays.map(|relay| (world.relays[relay].node, self.radius(relay), false));
        let squares = world.homes.iter();
        let squares = squares.filter_map(|&node| self.pixel(projection, node));
        let mut taken: Vec<[i32; 4]> = squares.map(|(x, y)| [x - 5, y - 5, x + 5, y + 5]).collect();
        for (node, radius, is_home) in homes.chain(relays) {
            let Some((x, y)) = self.pixel(projection, node) else {
                continue;
            };
            let name = self.found.name(node);
            let width = 8 * name.chars().count() as i32;
            let (aside, above) = (radius + 4, radius + 9);
            let sides = [
                (x + aside, y),
                (x - aside - width, y),
                (x - width / 2, y - above),
                (x - width / 2, y + above),
            ];
            let area = |(from, y): Pixel| [from, y - 9, from + width, y + 9];
            let is_inside = |&(from, _): &Pixel| from >= 0 && from + width <= WIDTH as i32;
            let inside = sides.into_iter().filter(is_inside);
            let is_free = |&at: &Pixel| !taken.iter().any(|other| overlap(&area(at), other));
            let free = inside.clone().find(is_free);
            // Every embedding node has a name, even if it covers another one.
            let any = inside.clone().next().filter(|_| is_home);
            if let Some(at) = free.or(any) {
                write(canvas, &name, at, text(SMALL, INK, HPos::Left))?;
                taken.push(area(at));
            }
        }
        Ok(())
    }

    fn hint(&self, relay: usize) -> String {
        let all: u64 = self.carried.iter().sum();
        let carried = self.carried[relay];
        format!(
            "relay, {}, capacity {}: {} sessions, {} of all",
            self.found.name(self.found.world.relays[relay].node),
            self.found.world.relays[relay].capacity,
            thousands(carried),
            percent(carried as f64 / all.max(1) as f64),
        )
    }

    /// Where a relay or an embedding node is drawn: the sites of a city are beside each other.
    fn pixel(&self, projection: &Projection, node: usize) -> Option<Pixel> {
        let (x, y) = projection.pixel(self.places.of[node]?);
        if self.places.kind != Kind::Globe {
            return Some((x, y));
        }
        let angle = (node % 6) as f64 * std::f64::consts::FRAC_PI_3;
        let (sin, cos) = angle.sin_cos();
        Some((
            x + (cos * APART).round() as i32,
            y + (sin * APART).round() as i32,
        ))
    }

    fn outcome(&self) -> String {
        let all: u64 = self.carried.iter().sum();
        let order = greatest(&self.carried, usize::MAX);
        let Some(&first) = order.first().filter(|_| all > 0) else {
            return "no session began after the warm-up.".to_owned();
        };
        let half = order
            .iter()
            .scan(0, |sum, &relay| {
                *sum += self.carried[relay];
                Some(*sum)
            })
            .position(|sum| sum * 2 >= all)
            .map_or(0, |at| at + 1);
        let world = self.found.world;
        format!(
            "{half} of {} relays carried half of {} sessions. The busiest, {}, carried {}, and has {} of the \
             capacity. {}",
            world.relays.len(),
            thousands(all),
            self.found.name(world.relays[first].node),
            percent(self.carried[first] as f64 / all as f64),
            percent(f64::from(world.relays[first].capacity) / f64::from(world.capacity())),
            self.widest_line(),
        )
    }

    /// Why most sessions of one node went where they did.
    fn widest_line(&self) -> String {
        let sessions = self.found.simulated.trace.sessions.iter().enumerate();
        let lines = sessions.flat_map(|(home, of_home)| {
            let relays = of_home.iter().enumerate();
            relays.map(move |(relay, &count)| (count, home, relay))
        });
        let Some((count, home, relay)) = lines.max_by_key(|&(count, ..)| count) else {
            return String::new();
        };
        let world = self.found.world;
        let home = world.homes[home];
        let mut by_distance: Vec<_> = (0..world.relays.len())
            .filter_map(|it| Some((world.rtt_ms(home, world.relays[it].node)?, it)))
            .collect();
        by_distance.sort_by(|one, other| one.0.total_cmp(&other.0));
        let Some(place) = by_distance.iter().position(|&(_, it)| it == relay) else {
            return String::new();
        };
        let (rtt, name) = (by_distance[place].0, |relay: usize| {
            self.found.name(world.relays[relay].node)
        });
        let mut words = format!(
            "The widest line goes from {} to {}, with {} sessions. That relay is {rtt:.0} ms away, and has room \
             for {}.",
            self.found.name(home),
            name(relay),
            thousands(count),
            world.relays[relay].capacity,
        );
        let nearer = &by_distance[..place];
        let Some(&(nearest_rtt, nearest)) = nearer.first() else {
            return words + " No relay is nearer to the node.";
        };
        let mut meter = Meter::default();
        for &(_, it) in nearer {
            meter.add(self.found.simulated.trace.meters[it]);
        }
        let room = nearer.iter().map(|&(_, it)| world.relays[it].capacity);
        let full = match meter.utilisation() {
            full if full.is_nan() => String::new(),
            full => format!(
                ", and they were {} full on average, by all nodes",
                percent(full)
            ),
        };
        words += &format!(
            " Nearer to the node {}, with room for {}{full}. The nearest is {}, {nearest_rtt:.0} ms away.",
            match nearer.len() {
                1 => "is 1 relay".to_owned(),
                count => format!("are {count} relays"),
            },
            room.sum::<u32>(),
            name(nearest),
        );
        if self.found.args.rule == Rule::Registry && self.found.args.views == Views::None {
            words += &format!(
                " The half from a relay to the target is not known in this run, and counts as {ASSUMED_MS} ms for \
                 each. So {} seems only {:.1} times as far as the nearest, and a penalty of that size sends \
                 sessions there.",
                name(relay),
                (rtt + ASSUMED_MS) / (nearest_rtt + ASSUMED_MS),
            );
        }
        words
    }
}

impl Projection {
    fn globe() -> Self {
        let per_x = f64::from(WIDTH) / (WEST_TO_EAST.1 - WEST_TO_EAST.0);
        let per_y = per_x * LATITUDE_STRETCH;
        Self {
            left: WEST_TO_EAST.0,
            top: SOUTH_TO_NORTH.1,
            per_x,
            per_y,
            height: ((SOUTH_TO_NORTH.1 - SOUTH_TO_NORTH.0) * per_y) as u32,
        }
    }

    /// All places, at the same scale in both directions.
    fn around(places: impl Iterator<Item = Place> + Clone) -> Self {
        let bounds = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::MAX, f64::MIN), |(least, most), value| {
                (least.min(value), most.max(value))
            })
        };
        let (left, right) = bounds(&mut places.clone().map(|place| place.0));
        let (bottom, top) = bounds(&mut places.map(|place| place.1));
        let room = |pixels: u32, span: f64| (f64::from(pixels) - 2.0 * MARGIN) / span.max(1.0);
        let scale = room(WIDTH, right - left).min(room(SCALED_HEIGHT, top - bottom));
        let margin = |pixels: u32, span: f64| (f64::from(pixels) / scale - span) / 2.0;
        Self {
            left: left - margin(WIDTH, right - left),
            top: top + margin(SCALED_HEIGHT, top - bottom),
            per_x: scale,
            per_y: scale,
            height: SCALED_HEIGHT,
        }
    }

    fn pixel(&self, (x, y): Place) -> Pixel {
        let x = (x - self.left) * self.per_x;
        let y = (self.top - y) * self.per_y;
        (x.round() as i32, y.round() as i32)
    }
}

/// The places of the greatest values, greatest first.
fn greatest(values: &[u64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&at| std::cmp::Reverse(values[at]));
    order.truncate(count);
    order
}

fn overlap(one: &[i32; 4], other: &[i32; 4]) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_globe_is_as_wide_as_the_chart_and_north_is_up() {
        let globe = Projection::globe();
        assert_eq!(globe.pixel((-170.0, 72.0)), (0, 0));
        let (x, y) = globe.pixel((180.0, -58.0));
        assert_eq!(x, WIDTH as i32);
        assert!((y - globe.height as i32).abs() <= 1);
        assert!(
            OUTLINES
                .iter()
                .flat_map(|it| it.iter())
                .all(|&(x, _)| x.abs() <= 180.0)
        );
    }

    #[test]
    fn scaled_places_fill_the_chart_and_keep_their_shape() {
        let map = Projection::around([(0.0, 0.0), (100.0, 50.0)].into_iter());
        let ((left, bottom), (right, top)) = (map.pixel((0.0, 0.0)), map.pixel((100.0, 50.0)));
        assert_eq!((left, right), (40, 860));
        assert!((((right - left) - 2 * (bottom - top)).abs()) <= 2);
        let one = Projection::around(std::iter::once((3.0, 4.0)));
        assert_eq!(one.pixel((3.0, 4.0)), (450, 300));
    }

    #[test]
    fn the_greatest_are_first_and_areas_overlap_only_where_they_do() {
        assert_eq!(greatest(&[3, 9, 1, 9], 3), [1, 3, 0]);
        assert!(overlap(&[0, 0, 10, 10], &[9, 9, 20, 20]));
        assert!(!overlap(&[0, 0, 10, 10], &[10, 0, 20, 10]));
    }
}
