//! A chart as an SVG element within the page.
//!
//! Drawn by plotters with its SVG backend alone. It writes SVG without a browser, a script or fonts, is
//! widely used, licensed under MIT, builds with Rust 1.85, and brings two small crates of its own. Other
//! libraries draw by a script in the browser, embed fonts, or need a later Rust. What plotters lacks are
//! texts that appear under the pointer: [`Hints`] adds them.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

pub type Error = Box<dyn std::error::Error>;
pub type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The width of all charts.
pub const WIDTH: u32 = 900;
/// Of the text in charts. The backend divides sizes by 1.24.
pub const TEXT: f64 = 18.0;
pub const SMALL: f64 = 15.5;

/// Texts that appear under the pointer, each with its rectangle: left, top, width, height.
#[derive(Default)]
pub struct Hints(Vec<([i32; 4], String)>);

impl Hints {
    pub fn add(&mut self, (left, top): (i32, i32), (right, bottom): (i32, i32), text: String) {
        self.0.push(([left, top, right - left, bottom - top], text));
    }

    /// Around a point.
    pub fn at(&mut self, (x, y): (i32, i32), radius: i32, text: String) {
        self.add((x - radius, y - radius), (x + radius, y + radius), text);
    }
}

/// Draws a chart. The label is read by screen readers in its place.
pub fn chart(
    label: &str,
    (width, height): (u32, u32),
    draw: impl FnOnce(&Canvas<'_>, &mut Hints) -> Result<(), Error>,
) -> Result<Markup, Error> {
    let mut drawn = String::new();
    let mut hints = Hints::default();
    {
        let canvas = SVGBackend::with_string(&mut drawn, (width, height)).into_drawing_area();
        draw(&canvas, &mut hints)?;
        canvas.present()?;
    }
    Ok(html! {
        div.chart {
            svg viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(label) {
                (PreEscaped(inside(&drawn)))
                @for ([x, y, width, height], text) in &hints.0 {
                    rect.hint x=(x) y=(y) width=(width) height=(height) { title { (text) } }
                }
            }
        }
        p.sideways { "The chart is wider than this screen: move it sideways." }
    })
}

/// What is between the tags of the outermost element.
fn inside(svg: &str) -> &str {
    let start = svg.find('>').map_or(0, |at| at + 1);
    let end = svg.rfind("</svg>").unwrap_or(svg.len());
    svg.get(start..end).unwrap_or_default()
}

/// A style of text. The place that it is written at is its left, centre or right, half-way up.
pub fn text(size: f64, colour: RGBColor, horizontal: HPos) -> TextStyle<'static> {
    let font = ("sans-serif", size).into_font();
    font.color(&colour).pos(Pos::new(horizontal, VPos::Center))
}

pub fn write(
    canvas: &Canvas<'_>,
    words: &str,
    at: (i32, i32),
    style: TextStyle<'static>,
) -> Result<(), Error> {
    Ok(canvas.draw(&Text::new(words.to_owned(), at, style))?)
}

/// A number with a separator between thousands.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_is_one_element_and_its_texts_are_escaped() {
        let drawn = chart("a < b", (10, 20), |canvas, hints| {
            let style = text(SMALL, BLACK, HPos::Left);
            write(canvas, "<script>", (1, 1), style)?;
            hints.at((5, 5), 2, "\"a\" & <b>".to_owned());
            Ok(())
        });
        let drawn = drawn.unwrap().into_string();
        assert_eq!(drawn.matches("<svg").count(), 1, "{drawn}");
        assert!(drawn.contains("viewBox=\"0 0 10 20\""), "{drawn}");
        assert!(drawn.contains("aria-label=\"a &lt; b\""), "{drawn}");
        assert!(
            drawn.contains("&lt;script&gt;") && !drawn.contains("<script"),
            "{drawn}"
        );
        assert!(drawn.contains("&amp; &lt;b&gt;</title>"), "{drawn}");
        assert!(
            drawn.contains("x=\"3\" y=\"3\" width=\"4\" height=\"4\""),
            "{drawn}"
        );
    }

    #[test]
    fn thousands_are_separated() {
        let shown = [0, 999, 1_000, 34_662, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "34,662", "1,234,567"]);
    }
}
