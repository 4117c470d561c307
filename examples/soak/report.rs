//! The report: what was done, and which faults were found.

use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use serde_json::{Map, Value, json};

use crate::memory;
use crate::round::Outcome;
use crate::tally::Tally;

/// How many rounds pass before memory is checked.
const WARM_UP: usize = 4;
/// Random growth that is allowed: one more small registry that waits to be freed.
const FLOOR_SLACK: usize = 4 << 20;
/// Growth between rounds that is allowed, such as garbage bags of the epoch collector, of 2 KiB each,
/// that no thread has emptied yet.
const REST_SLACK: usize = 256 << 10;
const KEPT_FAULTS: usize = 20;

#[derive(Default)]
pub struct Report {
    tally: Tally,
    faults: u64,
    messages: Vec<String>,
    memory: Memory,
    seconds: f64,
}

/// The bytes that the process held: the maximum, the minimum of each round, and after each round.
#[derive(Default)]
struct Memory {
    peak: usize,
    floors: Vec<usize>,
    rests: Vec<usize>,
}

impl Memory {
    fn add(&mut self, peak: usize, floor: usize) {
        // Before the vectors grow: they count as well.
        let rest = memory::live_bytes();
        self.peak = self.peak.max(peak);
        self.floors.push(floor);
        self.rests.push(rest);
    }

    /// The growth after the warm-up.
    fn growth(&self) -> Vec<String> {
        let checked = [
            ("in a round", &self.floors, FLOOR_SLACK),
            ("between rounds", &self.rests, REST_SLACK),
        ];
        let grew = checked.into_iter().filter_map(|(when, bytes, slack)| {
            let (warm, later) = bytes.split_at_checked(WARM_UP)?;
            let (before, after) = (warm.iter().max()?, later.iter().max()?);
            (*after > before + before / 4 + slack)
                .then(|| format!("memory {when} grew from {before} to {after} bytes"))
        });
        grew.collect()
    }
}

impl Report {
    pub fn add(&mut self, outcome: Outcome) {
        self.tally += outcome.tally;
        self.faults += outcome.faults;
        let room = KEPT_FAULTS.saturating_sub(self.messages.len());
        self.messages
            .extend(outcome.messages.into_iter().take(room));
        self.memory.add(outcome.peak_bytes, outcome.floor_bytes);
    }

    pub fn finish(&mut self, elapsed: Duration) {
        self.seconds = elapsed.as_secs_f64();
        let growth = self.memory.growth();
        self.faults += growth.len() as u64;
        self.messages.extend(growth);
    }

    pub fn is_faultless(&self) -> bool {
        self.faults == 0
    }

    fn figures(&self) -> Vec<(&'static str, u64, &'static str)> {
        let most = |bytes: &[usize]| bytes.iter().max().copied().unwrap_or(0) as u64;
        let mut figures = self.tally.figures();
        figures.extend([
            (
                "peak_bytes",
                self.memory.peak as u64,
                "bytes held in a round, at most",
            ),
            (
                "floor_bytes",
                most(&self.memory.floors),
                "bytes held throughout the second half of a round, at most",
            ),
            (
                "rest_bytes",
                most(&self.memory.rests),
                "bytes held between rounds, at most",
            ),
            ("faults", self.faults, "wrong answers, and memory not freed"),
        ]);
        figures
    }

    pub fn json(&self) -> String {
        let figures = self.figures().into_iter();
        let mut object: Map<String, Value> = figures
            .map(|(name, figure, _)| (name.to_owned(), json!(figure)))
            .collect();
        object.insert("seconds".to_owned(), json!(self.seconds));
        object.insert("messages".to_owned(), json!(self.messages));
        Value::Object(object).to_string()
    }

    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(NOTHING);
        for (name, figure, meaning) in self.figures() {
            table.add_row([name.to_owned(), figure.to_string(), meaning.to_owned()]);
        }
        if let Some(column) = table.column_mut(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let result = match self.faults {
            0 => "No fault was found.".to_owned(),
            faults => format!("{faults} FAULTS; the first:\n{}", self.messages.join("\n")),
        };
        format!(
            "{table}\n\nSoaked for {:.1} seconds. {result}",
            self.seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_grows_is_a_fault() {
        let mut rests = vec![1 << 20; WARM_UP];
        let memory = |rests: &[usize]| Memory {
            peak: 0,
            floors: Vec::new(),
            rests: rests.to_vec(),
        };
        assert_eq!(memory(&rests).growth(), [""; 0]);
        rests.push(1 << 20);
        assert_eq!(memory(&rests).growth(), [""; 0]);
        rests.push(2 << 20);
        assert_eq!(memory(&rests).growth().len(), 1);
    }
}
