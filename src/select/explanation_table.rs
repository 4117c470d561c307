//! An [`Explanation`] as a table for people.
//!
//! A column is one entry of [`COLUMNS`]: its title, how it is aligned, and what it shows of a
//! relay. Columns are as wide as what is printed in them. Some are left out if they would show
//! the default for every relay of the explanation.

use crate::relay::{CircuitState, NodeId};
use crate::select::explain::{Explained, Explanation, LegSource};
use std::fmt;
use std::time::Duration;

struct Column {
    title: &'static str,
    is_right_aligned: bool,
    cell: fn(&Explained, &ShortIds) -> String,
    /// Whether the column is shown if any relay has this.
    is_worth_showing: fn(&Explained) -> bool,
}

/// What the operator or the relay said of itself comes before load and circuit.
const COLUMNS: [Column; 12] = [
    Column::left("relay", |it, ids| ids.shown(&it.relay)),
    Column::left("endpoint", |it, _| it.endpoint.to_string()),
    Column::left("labels", |it, _| labels(it)).if_any(has_labels),
    Column::right("tier", |it, _| it.tier.to_string()).if_any(has_tier),
    Column::right("cost", |it, _| it.cost.to_string()).if_any(has_cost),
    Column::right("load", |it, _| format!("{}/{}", it.load, it.capacity)),
    Column::left("circuit", |it, _| it.circuit.to_string()),
    Column::right("a leg", |it, _| {
        leg(it.requester_leg, it.requester_leg_source)
    }),
    Column::right("b leg", |it, _| leg(it.target_leg, it.target_leg_source)),
    Column::right("penalty", |it, _| match it.penalty {
        penalty if penalty.is_finite() => format!("{penalty:.2}"),
        _ => "-".to_owned(),
    }),
    Column::right("score", |it, _| match it.score_ms() {
        score if score.is_finite() => format!("{score:.1}"),
        _ => "-".to_owned(),
    }),
    Column::left("verdict", |it, _| verdict(it)),
];

impl Column {
    const fn left(title: &'static str, cell: fn(&Explained, &ShortIds) -> String) -> Self {
        Self {
            title,
            is_right_aligned: false,
            cell,
            is_worth_showing: |_| true,
        }
    }

    const fn right(title: &'static str, cell: fn(&Explained, &ShortIds) -> String) -> Self {
        Self {
            title,
            is_right_aligned: true,
            cell,
            is_worth_showing: |_| true,
        }
    }

    const fn if_any(self, is_worth_showing: fn(&Explained) -> bool) -> Self {
        Self {
            is_worth_showing,
            ..self
        }
    }
}

/// The columns that are worth showing for these relays.
fn columns_for(relays: &[Explained]) -> Vec<&'static Column> {
    let is_shown = |column: &&Column| relays.iter().any(column.is_worth_showing);
    COLUMNS.iter().filter(is_shown).collect()
}

fn has_labels(explained: &Explained) -> bool {
    explained.labels().len() > 0
}

fn has_tier(explained: &Explained) -> bool {
    explained.tier != 0
}

fn has_cost(explained: &Explained) -> bool {
    explained.cost != 1.0
}

/// Labels are left out from this width of their column on, but not the first one.
const LABELS_WIDTH: usize = 24;

/// How many labels of a relay fit into their column.
fn fitting_labels(explained: &Explained) -> usize {
    let widths = explained.labels().map(|label| label.chars().count() + 2);
    let sums = widths.scan(0, |sum, width| {
        *sum += width;
        Some(*sum)
    });
    let fitting = sums.take_while(|&sum| sum <= LABELS_WIDTH + 2).count();
    fitting.max(1).min(explained.labels().len())
}

/// As many labels as fit, and how many more there are.
fn labels(explained: &Explained) -> String {
    let fitting = fitting_labels(explained);
    let shown: Vec<&str> = explained.labels().take(fitting).collect();
    let shown = shown.join(", ");
    let more = explained.labels().len() - fitting;
    if more > 0 {
        return format!("{shown}, +{more}");
    }
    if shown.is_empty() {
        "-".to_owned()
    } else {
        shown
    }
}

fn leg(leg: Duration, source: LegSource) -> String {
    format!("{:.1} {source:<9}", leg.as_secs_f64() * 1e3)
}

fn verdict(explained: &Explained) -> String {
    match explained.circuit {
        CircuitState::HalfOpen if explained.verdict.is_handed_out() => {
            format!("{}, on trial", explained.verdict)
        }
        _ => explained.verdict.to_string(),
    }
}

/// The least number of digits that an id is cut to.
const LEAST_DIGITS: usize = 8;

/// As many digits are not worth a mark that says that they are missing.
const NOT_WORTH_CUTTING: usize = 4;

/// Cuts ids such that no two of an explanation look the same.
struct ShortIds {
    /// All of them, in order; none if ids are not cut.
    sorted: Vec<NodeId>,
}

impl ShortIds {
    fn of(relays: &[Explained]) -> Self {
        let mut sorted: Vec<NodeId> = relays.iter().map(|explained| explained.relay).collect();
        sorted.sort_unstable();
        Self { sorted }
    }

    /// One of these ids: its first digits and a mark, or all of it.
    fn shown(&self, id: &NodeId) -> String {
        let whole = id.to_string();
        let Ok(at) = self.sorted.binary_search(id) else {
            return whole;
        };
        // The ids with the longest common prefix are beside it.
        let before = at.checked_sub(1).and_then(|at| self.sorted.get(at));
        let shared = before.into_iter().chain(self.sorted.get(at + 1));
        let shared = shared.map(|other| common_digits(id, other)).max();
        let digits = LEAST_DIGITS.max(shared.map_or(0, |shared| shared + 1));
        match whole.len() <= digits + NOT_WORTH_CUTTING {
            true => whole,
            false => format!("{}…", &whole[..digits]),
        }
    }
}

/// How many digits two ids have in common from the first on.
fn common_digits(one: &NodeId, other: &NodeId) -> usize {
    let mut pairs = one.as_bytes().iter().zip(other.as_bytes());
    let bytes = pairs.by_ref().take_while(|(a, b)| a == b).count();
    let differing = one.as_bytes().iter().zip(other.as_bytes()).nth(bytes);
    2 * bytes + usize::from(differing.is_some_and(|(a, b)| a >> 4 == b >> 4))
}

/// A summary, what the call asked for, the meaning of the columns, and a line for each relay.
/// With a precision, as in `{:.20}`, at most so many relays, and how many more there are.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_summary(f, self)?;
        let relays = self.relays();
        let shown = f.precision().unwrap_or(usize::MAX).min(relays.len());
        if shown > 0 {
            write_legend(f, self)?;
            write_table(f, relays, shown)?;
        }
        match relays.len() - shown {
            0 => Ok(()),
            more => writeln!(f, "... and {more} more"),
        }
    }
}

fn write_summary(f: &mut fmt::Formatter<'_>, explanation: &Explanation) -> fmt::Result {
    let (count, eligible) = (explanation.relays().len(), explanation.eligible());
    write!(f, "path to {}: {count} relay", explanation.target())?;
    write!(
        f,
        "{}, {eligible} eligible",
        if count == 1 { "" } else { "s" }
    )?;
    let rejections = explanation.rejections();
    match rejections.total() {
        0 => writeln!(f)?,
        _ => writeln!(f, "; {rejections}")?,
    }
    let asked = explanation.options().asked();
    match asked.is_empty() {
        true => Ok(()),
        false => writeln!(f, "asked for: {}", asked.join("; ")),
    }
}

/// What the columns mean that are shown.
fn write_legend(f: &mut fmt::Formatter<'_>, explanation: &Explanation) -> fmt::Result {
    let any = |is_worth_showing: fn(&Explained) -> bool| {
        explanation.relays().iter().any(is_worth_showing)
    };
    f.write_str("a leg: requester to relay, b leg: relay to target, round trips in ms; ")?;
    let and_cost = if any(has_cost) { " and cost" } else { "" };
    write!(
        f,
        "score: (a + b) x penalty for load{and_cost}, less is better"
    )?;
    if any(|it| fitting_labels(it) < it.labels().len()) {
        f.write_str("; labels: +n for n more")?;
    }
    if any(has_tier) {
        f.write_str("; tier: lower ones go first")?;
    }
    match explanation.options().units.get() {
        1 => writeln!(f),
        units => writeln!(f, "; full: fewer than {units} units are free"),
    }
}

/// The first relays, in columns that suit all.
fn write_table(f: &mut fmt::Formatter<'_>, relays: &[Explained], shown: usize) -> fmt::Result {
    let (columns, ids) = (columns_for(relays), ShortIds::of(relays));
    let titles = columns.iter().map(|column| column.title.to_owned());
    let mut lines: Vec<Vec<String>> = vec![titles.collect()];
    for explained in &relays[..shown] {
        let cells = columns.iter().map(|column| (column.cell)(explained, &ids));
        lines.push(cells.collect());
    }
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
    let widths: Vec<usize> = (0..columns.len()).filter_map(width).collect();
    let mut lines = lines.iter();
    lines.try_for_each(|line| write_line(f, line, &columns, &widths))
}

fn write_line(
    f: &mut fmt::Formatter<'_>,
    line: &[String],
    columns: &[&Column],
    widths: &[usize],
) -> fmt::Result {
    let last = columns.len() - 1;
    for (at, (column, &width)) in columns.iter().zip(widths).enumerate() {
        let cell = &line[at];
        match column.is_right_aligned {
            true => write!(f, "{cell:>width$}  ")?,
            false if at < last => write!(f, "{cell:<width$}  ")?,
            false => writeln!(f, "{cell}")?,
        }
    }
    Ok(())
}

/// A line of the table by itself, with the whole id.
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = ShortIds { sorted: Vec::new() };
        for (at, column) in columns_for(std::slice::from_ref(self)).iter().enumerate() {
            let space = if at > 0 { "  " } else { "" };
            write!(f, "{space}{}", (column.cell)(self, &ids).trim_end())?;
        }
        Ok(())
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn id(bytes: &[u8]) -> NodeId {
        NodeId::from_bytes(bytes).unwrap()
    }

    fn shown(ids: &[&[u8]]) -> Vec<String> {
        let mut sorted: Vec<NodeId> = ids.iter().map(|bytes| id(bytes)).collect();
        sorted.sort_unstable();
        let short = ShortIds { sorted };
        ids.iter().map(|bytes| short.shown(&id(bytes))).collect()
    }

    #[test]
    fn ids_are_cut_where_they_differ() {
        assert_eq!(shown(&[&[0xab; 32]]), ["abababab…"]);
        assert_eq!(shown(&[&[1; 32], &[2; 32]]), ["01010101…", "02020202…"]);
        let (mut one, mut other) = ([7; 32], [7; 32]);
        (one[5], other[5]) = (0x71, 0x72);
        assert_eq!(shown(&[&one, &other]), ["070707070771…", "070707070772…"]);
        (one[5], other[5]) = (0x17, 0x27);
        assert_eq!(shown(&[&one, &other]), ["07070707071…", "07070707072…"]);
    }

    #[test]
    fn ids_that_are_alike_for_long_are_whole() {
        let (mut one, other) = ([7; 32], [7; 32]);
        one[31] = 8;
        let both = shown(&[&one, &other, &[9; 32]]);
        assert_eq!(both[..2], [id(&one).to_string(), id(&other).to_string()]);
        assert_eq!(both[2], "09090909…");
        // One is the beginning of the other.
        let nested = shown(&[&[7; 8], &[7; 32]]);
        assert_eq!(nested, ["0707070707070707", "07070707070707070…"]);
    }

    #[test]
    fn short_ids_are_whole() {
        assert_eq!(
            shown(&[&[1], &[1, 2], &[2; 6]]),
            ["01", "0102", "020202020202"]
        );
        assert_eq!(shown(&[&[2; 7]]), ["02020202…"]);
    }
}
