//! A histogram: bars from 0 upwards, with marks at some values.

use maud::Markup;
use plotters::prelude::*;
use plotters::style::text_anchor::HPos;

use super::chart::{self, Error, SMALL, TEXT, WIDTH, text, write};
use super::palette::{GRID, INK, REGISTRY, SOFT};

const HEIGHT: u32 = 360;
/// The gap between bars, as a share of their width.
const GAP: f64 = 0.06;
const LEFT: i32 = 78;

pub struct Histogram<'a> {
    /// Instead of the chart, for screen readers.
    pub label: &'a str,
    pub x_title: &'a str,
    pub y_title: &'a str,
    /// Along x: where the ticks are, and what they say.
    pub ticks: Vec<(f64, String)>,
    pub bars: Vec<Bar>,
    /// Vertical lines with a text.
    pub marks: Vec<(f64, String)>,
}

pub struct Bar {
    pub from: f64,
    pub to: f64,
    /// Of all values, from 0 to 1.
    pub share: f64,
    /// Appears under the pointer.
    pub hint: String,
}

impl Histogram<'_> {
    pub fn draw(&self) -> Result<Markup, Error> {
        chart::chart(self.label, (WIDTH, HEIGHT), |canvas, hints| {
            let bounds = |bars: &[Bar]| Some((bars.first()?.from, bars.last()?.to));
            let (from, to) = bounds(&self.bars).unwrap_or((0.0, 1.0));
            let highest = self.bars.iter().map(|bar| bar.share).fold(0.0, f64::max);
            let mut chart = ChartBuilder::on(canvas)
                .margin_top(34 + 22 * self.marks.len() as i32)
                .margin_right(24)
                .x_label_area_size(62)
                .y_label_area_size(LEFT)
                .build_cartesian_2d(from..to, 0.0..(highest * 1.05).max(1e-3))?;
            chart
                .configure_mesh()
                .disable_x_mesh()
                .light_line_style(TRANSPARENT)
                .bold_line_style(GRID)
                .axis_style(SOFT)
                .x_labels(0)
                .y_labels(5)
                .label_style(text(SMALL, SOFT, HPos::Right))
                .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
                .draw()?;
            for bar in &self.bars {
                let gap = (bar.to - bar.from) * GAP;
                let corners = [(bar.from + gap, 0.0), (bar.to - gap, bar.share)];
                chart.draw_series([Rectangle::new(corners, REGISTRY.filled())])?;
                let top = chart.backend_coord(&(bar.from, highest));
                let bottom = chart.backend_coord(&(bar.to, 0.0));
                hints.add(top, bottom, bar.hint.clone());
            }
            let row_y = |row: usize| 34 + 22 * row as i32;
            let marks = self.marks.iter().enumerate();
            let marks: Vec<_> = marks
                .map(|(row, (at, words))| {
                    let (x, bottom) = chart.backend_coord(&(at.clamp(from, to), 0.0));
                    (x, row_y(row), bottom, words)
                })
                .collect();
            for &(x, y, bottom, _) in &marks {
                let line = PathElement::new([(x, y), (x, bottom)], INK.stroke_width(1));
                canvas.draw(&line)?;
            }
            for (x, y, _, words) in marks {
                // Beyond the middle there is more room on the left.
                let is_right = x > WIDTH as i32 * 3 / 5;
                let (x, side) = if is_right {
                    (x - 6, HPos::Right)
                } else {
                    (x + 6, HPos::Left)
                };
                write(canvas, words, (x, y + 4), text(SMALL, INK, side))?;
            }
            for (at, words) in &self.ticks {
                let (x, y) = chart.backend_coord(&(*at, 0.0));
                canvas.draw(&PathElement::new([(x, y), (x, y + 5)], SOFT))?;
                write(canvas, words, (x, y + 15), text(SMALL, SOFT, HPos::Center))?;
            }
            let middle = (WIDTH as i32 + LEFT) / 2;
            let y = HEIGHT as i32 - 16;
            write(
                canvas,
                self.x_title,
                (middle, y),
                text(TEXT, INK, HPos::Center),
            )?;
            write(canvas, self.y_title, (8, 14), text(TEXT, INK, HPos::Left))
        })
    }
}
