//! Any file as a matrix of round trips: the reader of the example `relay_world` does not panic, accepts
//! exactly the square matrices with a measured pair, and reads an accepted one equally after it was written.
#![no_main]

#[path = "../../examples/common/error.rs"]
#[allow(dead_code)]
mod error;
#[path = "../../examples/common/matrix.rs"]
#[allow(dead_code)]
mod matrix;

use libfuzzer_sys::fuzz_target;
use matrix::{MAX_NODES, Matrix, MatrixError, parse};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    match parse(text) {
        Ok(matrix) => {
            assert!((2..=MAX_NODES).contains(&matrix.nodes()));
            assert_eq!(Some(rows_of(&matrix)), plainly(text));
            assert_eq!(parse(&written(&matrix)), Ok(matrix));
        }
        Err(error) => {
            assert!(plainly(text).is_none(), "{error}");
            explains(text, &error);
        }
    }
});

type Rows = Vec<Vec<Option<f32>>>;

fn rows_of(matrix: &Matrix) -> Rows {
    let row = |from| (0..matrix.nodes()).map(move |to| matrix.rtt_ms(from, to));
    (0..matrix.nodes())
        .map(|from| row(from).collect())
        .collect()
}

/// A simple reader without bounds and without reasons.
fn plainly(text: &str) -> Option<Rows> {
    let value = |text: &str| match text.parse::<f32>().ok()? {
        _ if text.len() > 32 => None,
        -1.0 => Some(None),
        rtt if (0.0..=60_000.0).contains(&rtt) => Some(Some(rtt)),
        _ => None,
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let row = |line: &str| line.split_whitespace().map(value).collect();
    let rows: Rows = lines.map(row).collect::<Option<_>>()?;
    let is_square = rows.len() > 1 && rows.iter().all(|row| row.len() == rows.len());
    let is_measured = |(from, row): (usize, &Vec<_>)| {
        let mut others = row.iter().enumerate().filter(|&(to, _)| to != from);
        others.any(|(_, rtt): (_, &Option<f32>)| rtt.is_some())
    };
    (is_square && rows.iter().enumerate().any(is_measured)).then_some(rows)
}

fn written(matrix: &Matrix) -> String {
    let value = |rtt: Option<f32>| rtt.map_or("-1".to_owned(), |rtt| rtt.to_string());
    let line = |row: Vec<_>| row.into_iter().map(value).collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = rows_of(matrix).into_iter().map(line).collect();
    lines.join("\n")
}

/// The message is one printable line with the number of a line and a value of the text, if there are any.
fn explains(text: &str, error: &MatrixError) {
    let message = error.to_string();
    assert!(!message.is_empty() && message.chars().all(|c| !c.is_control()));
    let (line, column) = match *error {
        MatrixError::Empty
        | MatrixError::OneNode
        | MatrixError::MissingRows { .. }
        | MatrixError::NothingMeasured { .. } => return,
        MatrixError::TooManyNodes { line }
        | MatrixError::RowLength { line, .. }
        | MatrixError::ExtraRow { line, .. } => (line, 1),
        MatrixError::NotANumber { line, column, .. }
        | MatrixError::NotARoundTrip { line, column, .. } => (line, column),
    };
    let named = text.lines().nth(line - 1).expect("a line of the text");
    assert!(named.split_whitespace().nth(column - 1).is_some());
}
