//! A square matrix of round-trip times, and the strict reader of its text form.
//!
//! One row per line, values in milliseconds with whitespace between them, `-1` for a pair that was not
//! measured. Blank lines are skipped. The diagonal is required but not used. At least one pair must have
//! been measured. Memory is proportional to
//! the length of the text.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use crate::error::Failure;

/// The largest world: 25 million pairs, 100 MB.
pub const MAX_NODES: usize = 5_000;
/// A minute and more is a lost packet, not a round trip.
const MAX_RTT_MS: f32 = 60_000.0;
/// The longest text of one value; measured values take about six characters.
const MAX_VALUE_LEN: usize = 32;
/// The largest file: about ten characters per pair of the largest world.
const MAX_FILE_LEN: u64 = 256 << 20;
const MISSING: f32 = -1.0;

/// Round-trip times between all pairs of `nodes` nodes. Copies share them.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    nodes: usize,
    /// Row by row, in ms; `MISSING` where nothing was measured.
    values: Arc<[f32]>,
}

impl Matrix {
    /// Computes every pair; `rtt` answers in ms, and is clamped to what a file may hold.
    pub fn from_fn(nodes: usize, rtt: impl Fn(usize, usize) -> f32) -> Self {
        let pairs = (0..nodes).flat_map(|from| (0..nodes).map(move |to| (from, to)));
        let values = pairs.map(|(from, to)| rtt(from, to).clamp(0.0, MAX_RTT_MS));
        Self {
            nodes,
            values: values.collect(),
        }
    }

    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// The round trip between two nodes in ms, if it was measured.
    pub fn rtt_ms(&self, from: usize, to: usize) -> Option<f32> {
        let value = self.values[from * self.nodes + to];
        (value >= 0.0).then_some(value)
    }
}

/// Why a text is not a matrix. Lines and columns count from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MatrixError {
    Empty,
    OneNode,
    /// Every pair is missing.
    NothingMeasured {
        nodes: usize,
    },
    TooManyNodes {
        line: usize,
    },
    RowLength {
        line: usize,
        found: usize,
        expected: usize,
    },
    MissingRows {
        found: usize,
        expected: usize,
    },
    ExtraRow {
        line: usize,
        expected: usize,
    },
    NotANumber {
        line: usize,
        column: usize,
        text: String,
    },
    NotARoundTrip {
        line: usize,
        column: usize,
        text: String,
    },
}

impl fmt::Display for MatrixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "holds no values"),
            Self::OneNode => write!(f, "one node alone has none to talk to"),
            Self::NothingMeasured { nodes } => write!(
                f,
                "not one pair of the {nodes} nodes was measured: every value off the diagonal is -1"
            ),
            Self::TooManyNodes { line } => {
                write!(f, "line {line}: more than {MAX_NODES} values in a row")
            }
            Self::RowLength {
                line,
                found,
                expected,
            } => write!(
                f,
                "line {line}: {found} values, where the first row has {expected}"
            ),
            Self::MissingRows { found, expected } => write!(
                f,
                "{found} rows of {expected} values each: the matrix is not square"
            ),
            Self::ExtraRow { line, expected } => write!(
                f,
                "line {line}: a row too many, as rows have {expected} values"
            ),
            Self::NotANumber { line, column, text } => {
                write!(f, "line {line}, value {column}: {text:?} is not a number")
            }
            Self::NotARoundTrip { line, column, text } => write!(
                f,
                "line {line}, value {column}: {text:?} is neither -1 nor from 0 to {MAX_RTT_MS} ms"
            ),
        }
    }
}

impl std::error::Error for MatrixError {}

/// Reads a matrix from a file, which may be of any kind and any size.
pub fn load(path: &Path) -> Result<Matrix, Failure> {
    let fail = |what: String| Failure::File {
        path: path.to_owned(),
        what,
    };
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_LEN + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| fail(error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_LEN {
        return Err(fail(format!("longer than {} MiB", MAX_FILE_LEN >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        fail(format!("line {line}: not text"))
    })?;
    parse(&text).map_err(|error| Failure::Matrix {
        path: path.to_owned(),
        error,
    })
}

/// Reads a matrix from its text form.
pub fn parse(text: &str) -> Result<Matrix, MatrixError> {
    let mut rows = text
        .lines()
        .zip(1..)
        .filter(|(row, _)| !row.trim().is_empty());
    let Some((first, line)) = rows.next() else {
        return Err(MatrixError::Empty);
    };
    let mut values = Vec::new();
    let nodes = read_row(first, line, &mut values)?;
    for (row, line) in rows {
        if values.len() == nodes * nodes {
            return Err(MatrixError::ExtraRow {
                line,
                expected: nodes,
            });
        }
        let found = read_row(row, line, &mut values)?;
        if found != nodes {
            return Err(MatrixError::RowLength {
                line,
                found,
                expected: nodes,
            });
        }
    }
    if values.len() != nodes * nodes {
        return Err(MatrixError::MissingRows {
            found: values.len() / nodes,
            expected: nodes,
        });
    }
    if nodes == 1 {
        return Err(MatrixError::OneNode);
    }
    let mut off_diagonal = values.iter().enumerate();
    if !off_diagonal.any(|(at, &value)| at % (nodes + 1) != 0 && value >= 0.0) {
        return Err(MatrixError::NothingMeasured { nodes });
    }
    Ok(Matrix {
        nodes,
        values: values.into(),
    })
}

/// Appends the values of one row, and returns their number.
fn read_row(row: &str, line: usize, values: &mut Vec<f32>) -> Result<usize, MatrixError> {
    let mut found = 0;
    for text in row.split_whitespace() {
        if found == MAX_NODES {
            return Err(MatrixError::TooManyNodes { line });
        }
        found += 1;
        values.push(read_value(text, line, found)?);
    }
    Ok(found)
}

fn read_value(text: &str, line: usize, column: usize) -> Result<f32, MatrixError> {
    let shown = || text.chars().take(MAX_VALUE_LEN).collect();
    let number: Option<f32> = (text.len() <= MAX_VALUE_LEN)
        .then(|| text.parse().ok())
        .flatten();
    match number {
        Some(value) if value == MISSING || (0.0..=MAX_RTT_MS).contains(&value) => Ok(value),
        Some(_) => Err(MatrixError::NotARoundTrip {
            line,
            column,
            text: shown(),
        }),
        None => Err(MatrixError::NotANumber {
            line,
            column,
            text: shown(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_matrix_is_read() {
        let matrix = parse("0 1.5 -1\n\n2\t0 3e1\r\n4 5 0\n").unwrap();
        assert_eq!(matrix.nodes(), 3);
        assert_eq!(matrix.rtt_ms(0, 1), Some(1.5));
        assert_eq!(matrix.rtt_ms(0, 2), None);
        assert_eq!(matrix.rtt_ms(1, 2), Some(30.0));
        assert_eq!(matrix.rtt_ms(2, 0), Some(4.0));
        assert_eq!(parse("0"), Err(MatrixError::OneNode));
    }

    #[test]
    fn every_defect_has_its_own_answer() {
        assert_eq!(parse(" \n\n"), Err(MatrixError::Empty));
        let missing = MatrixError::MissingRows {
            found: 1,
            expected: 2,
        };
        assert_eq!(parse("0 1\n"), Err(missing));
        let extra = MatrixError::ExtraRow {
            line: 4,
            expected: 2,
        };
        assert_eq!(parse("0 1\n1 0\n\n1 0\n"), Err(extra));
        let length = |found| MatrixError::RowLength {
            line: 2,
            found,
            expected: 2,
        };
        assert_eq!(parse("0 1\n1\n"), Err(length(1)));
        assert_eq!(parse("0 1\n1 0 2\n"), Err(length(3)));
    }

    #[test]
    fn a_matrix_without_a_measured_pair_is_refused() {
        let nothing = Err(MatrixError::NothingMeasured { nodes: 2 });
        assert_eq!(parse("-1 -1\n-1 -1"), nothing);
        assert_eq!(parse("0 -1\n-1 3"), nothing);
        assert_eq!(parse("0 -1\n2 0").unwrap().rtt_ms(1, 0), Some(2.0));
    }

    #[test]
    fn only_round_trips_are_values() {
        for text in ["x", "1,5", "0x10", "\u{7f}", &"1".repeat(33)] {
            let row = format!("0 {text}\n1 0");
            let error = parse(&row).unwrap_err();
            assert!(
                matches!(
                    error,
                    MatrixError::NotANumber {
                        line: 1,
                        column: 2,
                        ..
                    }
                ),
                "{text}: {error}"
            );
        }
        for text in ["-2", "-0.5", "inf", "NaN", "1e30", "60001"] {
            let error = parse(&format!("0 1\n{text} 0")).unwrap_err();
            assert!(
                matches!(
                    error,
                    MatrixError::NotARoundTrip {
                        line: 2,
                        column: 1,
                        ..
                    }
                ),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn a_row_too_long_is_refused_before_it_is_kept() {
        let row = "1 ".repeat(MAX_NODES + 1);
        assert_eq!(parse(&row), Err(MatrixError::TooManyNodes { line: 1 }));
    }

    #[test]
    fn messages_are_one_line() {
        let error = parse("0 \u{1b}[31m\u{0}\n1 0").unwrap_err().to_string();
        assert!(error.chars().all(|c| !c.is_control()), "{error:?}");
    }

    #[test]
    fn a_file_that_is_no_text_is_refused_with_its_line() {
        let path = std::env::temp_dir().join(format!("relay_world_{}.txt", std::process::id()));
        std::fs::write(&path, b"0 1\n\xff 0\n").unwrap();
        let failure = load(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(failure.ends_with(": line 2: not text"), "{failure}");
        let failure = load(&path).unwrap_err().to_string();
        assert!(failure.contains(&*path.display().to_string()), "{failure}");
    }
}
