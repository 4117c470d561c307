//! An [`Explanation`] as a table for people.
//!
//! A column is one entry of [`COLUMNS`]: its title, how it is aligned, and what it shows of a
//! relay. Columns are as wide as what is printed in them.

use crate::relay::{CircuitState, NodeId};
use crate::select::explain::{Explained, Explanation, LegSource};
use std::fmt;
use std::time::Duration;

struct Column {
    title: &'static str,
    is_right_aligned: bool,
    cell: fn(&Explained, &ShortIds) -> String,
}

/// What the operator or the relay said of itself comes before load and circuit.
const COLUMNS: [Column; 9] = [
    Column::left("relay", |it, ids| ids.shown(&it.relay)),
    Column::left("endpoint", |it, _| it.endpoint.to_string()),
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

const LEGEND: &str = "a leg: requester to relay, b leg: relay to target, round trips in ms; \
                      score: (a + b) x penalty for load, less is better";

impl Column {
    const fn left(title: &'static str, cell: fn(&Explained, &ShortIds) -> String) -> Self {
        Self {
            title,
            is_right_aligned: false,
            cell,
        }
    }

    const fn right(title: &'static str, cell: fn(&Explained, &ShortIds) -> String) -> Self {
        Self {
            title,
            is_right_aligned: true,
            cell,
        }
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

/// A summary, the meaning of the columns, and a line for each relay. With a precision, as in
/// `{:.20}`, at most so many relays, and how many more there are.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_summary(f, self)?;
        let relays = self.relays();
        let shown = f.precision().unwrap_or(usize::MAX).min(relays.len());
        if shown > 0 {
            writeln!(f, "{LEGEND}")?;
            write_table(f, &relays[..shown], &ShortIds::of(relays))?;
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
        0 => writeln!(f),
        _ => writeln!(f, "; {rejections}"),
    }
}

fn write_table(f: &mut fmt::Formatter<'_>, relays: &[Explained], ids: &ShortIds) -> fmt::Result {
    let titles = COLUMNS.map(|column| column.title.to_owned());
    let cells = |explained: &Explained| COLUMNS.map(|column| (column.cell)(explained, ids));
    let lines: Vec<_> = std::iter::once(titles)
        .chain(relays.iter().map(cells))
        .collect();
    let width = |at: usize| lines.iter().map(|line| line[at].chars().count()).max();
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(|at| width(at).unwrap_or(0));
    lines
        .iter()
        .try_for_each(|line| write_line(f, line, widths))
}

fn write_line(
    f: &mut fmt::Formatter<'_>,
    line: &[String; COLUMNS.len()],
    widths: [usize; COLUMNS.len()],
) -> fmt::Result {
    let last = COLUMNS.len() - 1;
    for (at, (column, width)) in COLUMNS.iter().zip(widths).enumerate() {
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
        let cells = COLUMNS.map(|column| (column.cell)(self, &ids));
        f.write_str(
            cells
                .map(|cell| cell.trim_end().to_owned())
                .join("  ")
                .as_str(),
        )
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
