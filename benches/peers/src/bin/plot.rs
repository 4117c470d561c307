//! Plots the cost of a choice against the number of relays, from the results that `BENCH_RESULTS` names: a
//! find among relays that are idle, all full but one, and all full; a load of an `arc_swap`; and other ways
//! to choose, under loads of other nodes.
//!
//! ```text
//! BENCH_RESULTS=FILE cargo run --release --manifest-path benches/peers/Cargo.toml --bin plot -- SVG
//! ```

use plotters::prelude::*;
use std::error::Error;

/// A line of the plot: the source of its figures, and its label.
struct Line {
    group: &'static str,
    name: &'static str,
    label: &'static str,
    width: u32,
}

const LINES: [Line; 8] = [
    ours("price: idle", "find_relay, idle"),
    ours("price: full but one", "find_relay, full but one"),
    ours("price: all full", "find_relay, all full: none"),
    other("price: idle", "load of an arc_swap"),
    other(ELSEWHERE, "min_by_key under a RwLock"),
    other(ELSEWHERE, "clone-filter-sort under a RwLock"),
    other(ELSEWHERE, "tower, P2C of Peak-EWMA, one thread"),
    other(ELSEWHERE, "pingora, weighted random"),
];
const ELSEWHERE: &str = "choosing: measured, load 0.6";

const fn ours(group: &'static str, label: &'static str) -> Line {
    Line {
        group,
        name: "find",
        label,
        width: 4,
    }
}

const fn other(group: &'static str, name: &'static str) -> Line {
    Line {
        group,
        name,
        label: name,
        width: 2,
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let results = std::fs::read_to_string(std::env::var("BENCH_RESULTS")?)?;
    let to = std::env::args().nth(1).ok_or("no file to plot to")?;
    draw(&results, &to)
}

impl Line {
    /// Relays and nanoseconds.
    fn points(&self, results: &str) -> Vec<(f64, f64)> {
        let point = |line: &str| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [group, relays, name, nanos, _] = fields[..] else {
                return None;
            };
            let is_mine = group == self.group && name == self.name;
            let point = relays.parse().ok().zip(nanos.parse().ok());
            point.filter(|_| is_mine)
        };
        results.lines().filter_map(point).collect()
    }
}

fn draw(results: &str, to: &str) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(to, (860, 520)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "The price of one choice, from idle to overrun",
            ("sans-serif", 18),
        )
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(72)
        .build_cartesian_2d((10.0..1e6).log_scale(), (1.0..1e9).log_scale())?;
    chart
        .configure_mesh()
        .x_desc("relays")
        .y_desc("ns per call")
        .x_label_formatter(&|relays| format!("{relays:.0}"))
        .y_label_formatter(&|nanos| format!("{nanos:.0}"))
        .light_line_style(TRANSPARENT)
        .draw()?;
    for (number, line) in LINES.iter().enumerate() {
        let style = Palette99::pick(number).stroke_width(line.width);
        chart
            .draw_series(LineSeries::new(line.points(results), style))?
            .label(line.label)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK)
        .draw()?;
    area.present()?;
    Ok(())
}
