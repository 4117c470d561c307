//! Figures, as tables or as one JSON object.

use comfy_table::presets::{ASCII_MARKDOWN, NOTHING};
use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use serde_json::{Map, Value, json};

const WIDTH: u16 = 100;
/// The minimum width of names and values, so that all tables are aligned.
const COLUMNS: [u16; 2] = [22, 11];

/// Figures that belong together.
pub struct Section {
    pub title: &'static str,
    pub figures: Vec<Figure>,
}

/// One figure: its name in the JSON object, its value, and its meaning.
#[derive(Clone)]
pub struct Figure {
    name: &'static str,
    value: Value,
    meaning: &'static str,
}

impl Section {
    /// A table under a title, a line per figure.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table
            .load_preset(NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(WIDTH);
        for figure in &self.figures {
            table.add_row([figure.name, &shown(&figure.value), figure.meaning]);
        }
        for (column, width) in COLUMNS.into_iter().enumerate() {
            if let Some(column) = table.column_mut(column) {
                column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
            }
        }
        if let Some(values) = table.column_mut(1) {
            values.set_cell_alignment(CellAlignment::Right);
        }
        format!("{}\n{}", self.title, table.trim_fmt())
    }
}

impl Figure {
    /// Its name, its value and its meaning.
    #[allow(dead_code, reason = "not every example shows a page")]
    pub fn cells(&self) -> (&str, String, &str) {
        (self.name, shown(&self.value), self.meaning)
    }
}

/// All figures as one JSON object, on one line.
pub fn object(sections: &[Section]) -> String {
    let figures = sections.iter().flat_map(|section| &section.figures);
    to_object(figures).to_string()
}

/// Lines of figures as a JSON array of objects.
pub fn array(lines: &[Vec<Figure>]) -> String {
    let objects = lines.iter().map(to_object).collect();
    Value::Array(objects).to_string()
}

fn to_object<'a>(figures: impl IntoIterator<Item = &'a Figure>) -> Value {
    let figures = figures.into_iter();
    let object: Map<String, Value> = figures
        .map(|figure| (figure.name.to_owned(), figure.value.clone()))
        .collect();
    Value::Object(object)
}

/// Lines of the same figures as a Markdown table, with their meanings below.
pub fn side_by_side(lines: &[Vec<Figure>]) -> String {
    let mut table = Table::new();
    table.load_preset(ASCII_MARKDOWN);
    let Some(first) = lines.first() else {
        return String::new();
    };
    table.set_header(first.iter().map(|figure| figure.name));
    for line in lines {
        table.add_row(line.iter().map(|figure| shown(&figure.value)));
    }
    let numbers = table.column_iter_mut().skip(1);
    numbers.for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let meanings: Vec<String> = first
        .iter()
        .map(|figure| format!("{:22}  {}", figure.name, figure.meaning))
        .collect();
    format!("{}\n\n{}", table.trim_fmt(), meanings.join("\n"))
}

pub fn whole(name: &'static str, value: u64, meaning: &'static str) -> Figure {
    Figure {
        name,
        value: json!(value),
        meaning,
    }
}

/// A figure that is a word.
pub fn word(name: &'static str, value: &str, meaning: &'static str) -> Figure {
    Figure {
        name,
        value: json!(value),
        meaning,
    }
}

/// A figure that is not a whole number, to four places; null when there is none.
pub fn share(name: &'static str, value: f64, meaning: &'static str) -> Figure {
    Figure {
        name,
        value: json!((value * 1e4).round() / 1e4),
        meaning,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(word) => word.clone(),
        value => value.to_string(),
    }
}

/// The value that this share of the sorted values does not exceed.
pub fn quantile(sorted: &[f32], share: f64) -> f64 {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    let value = sorted.get(rank.saturating_sub(1)).copied();
    value.map_or(f64::NAN, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let sorted = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0];
        assert_eq!(quantile(&sorted, 0.5), 5.0);
        assert_eq!(quantile(&sorted, 0.9), 9.0);
        assert_eq!(quantile(&sorted[..1], 0.9), 1.0);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn what_is_not_known_is_null_and_never_breaks_the_object() {
        let section = Section {
            title: "t",
            figures: vec![share("a", f64::NAN, "?"), whole("b", 3, "?")],
        };
        assert!(section.table().contains("none"));
        let lines = [vec![word("c", "x", "?"), share("a", f64::NAN, "?")]];
        assert!(side_by_side(&lines).contains("| x | none |"));
        assert_eq!(array(&lines), r#"[{"a":null,"c":"x"}]"#);
        assert_eq!(object(&[section]), r#"{"a":null,"b":3}"#);
    }
}
