//! Plots what a choice costs against the number of relays, for all ways to
//! choose, from the results that `BENCH_RESULTS` names.
//!
//! ```text
//! BENCH_RESULTS=FILE cargo run --release --manifest-path benches/peers/Cargo.toml --bin plot -- SVG
//! ```

use plotters::prelude::*;
use std::collections::BTreeMap;
use std::error::Error;

const GROUP: &str = "choosing: measured, load 0.6";

fn main() -> Result<(), Box<dyn Error>> {
    let results = std::fs::read_to_string(std::env::var("BENCH_RESULTS")?)?;
    let to = std::env::args().nth(1).ok_or("no file to plot to")?;
    draw(&lines_of(&results), &to)
}

/// Relays and nanoseconds of each contender.
fn lines_of(results: &str) -> BTreeMap<&str, Vec<(f64, f64)>> {
    let mut lines: BTreeMap<&str, Vec<(f64, f64)>> = BTreeMap::new();
    for line in results.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [GROUP, relays, name, nanos, _] = fields[..] {
            let point = relays.parse().ok().zip(nanos.parse().ok());
            lines.entry(name).or_default().extend(point);
        }
    }
    lines
}

fn draw(lines: &BTreeMap<&str, Vec<(f64, f64)>>, to: &str) -> Result<(), Box<dyn Error>> {
    let area = SVGBackend::new(to, (860, 520)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(
            "One choice: measured round trips, loads from elsewhere at 0.6",
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
    for (number, (name, points)) in lines.iter().enumerate() {
        let style = Palette99::pick(number).stroke_width(if *name == "find_relay" { 4 } else { 2 });
        chart
            .draw_series(LineSeries::new(points.iter().copied(), style))?
            .label(*name)
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
