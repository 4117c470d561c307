//! Which cache lines move between cores, if each core runs one thread and its cache has room for all.
//!
//! A line *moves* when a core reads it, does not hold it, and some core wrote it before; or when a core
//! writes it and another core holds it. Lines that no core wrote are not counted: a miss on these
//! costs one core as much as many.

use std::collections::HashMap;

/// A cache line has 64 bytes, and a word 8; as powers of two.
pub const LINE: u32 = 6;
pub const WORD: u32 = 3;

/// The caches of up to 64 cores.
#[derive(Default)]
pub struct Caches {
    lines: HashMap<usize, Line>,
    words: HashMap<usize, Writes>,
    /// How often a line moved because of the code at a place.
    moves_by: HashMap<(usize, usize), u32>,
    calls: u32,
}

#[derive(Clone, Copy, Default)]
struct Line {
    /// A bit for each core.
    holders: u64,
    was_written: bool,
    moves: u32,
    writes: Writes,
}

/// Which calls wrote a block.
#[derive(Clone, Copy, Default)]
pub struct Writes {
    pub calls: u32,
    last_call: u32,
    /// A bit for each core that wrote it.
    cores: u64,
}

/// How a line fared.
pub struct LineFigures {
    pub writes: Writes,
    pub moves: u32,
    /// Where in the program most of the moves were caused.
    pub code: Option<usize>,
}

impl Writes {
    fn add(&mut self, core: usize, call: u32) {
        if self.last_call != call {
            self.last_call = call;
            self.calls += 1;
        }
        self.cores |= 1 << core;
    }

    pub fn by_one_core(&self) -> bool {
        self.cores.count_ones() == 1
    }
}

impl Caches {
    /// Another call begins.
    pub fn begin_call(&mut self) {
        self.calls += 1;
    }

    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Forgets what was counted, and not what the cores hold.
    pub fn reset(&mut self) {
        for line in self.lines.values_mut() {
            (line.moves, line.writes) = (0, Writes::default());
        }
        self.words.clear();
        self.moves_by.clear();
        self.calls = 0;
    }

    /// A core reads or writes a line.
    pub fn touch_line(&mut self, core: usize, number: usize, writes: bool, code: usize) {
        let line = self.lines.entry(number).or_default();
        if line.touch(core, writes) {
            line.moves += 1;
            *self.moves_by.entry((number, code)).or_default() += 1;
        }
        if writes {
            line.writes.add(core, self.calls);
        }
    }

    pub fn write_word(&mut self, core: usize, number: usize) {
        self.words.entry(number).or_default().add(core, self.calls);
    }

    pub fn words(&self) -> impl Iterator<Item = Writes> {
        self.words.values().copied()
    }

    pub fn lines(&self) -> Vec<LineFigures> {
        let mut causes = HashMap::new();
        for (&(line, code), &moves) in &self.moves_by {
            let most = causes.entry(line).or_insert((moves, code));
            *most = (*most).max((moves, code));
        }
        let lines = self.lines.iter();
        let figures = lines.map(|(number, line)| LineFigures {
            writes: line.writes,
            moves: line.moves,
            code: causes.get(number).map(|&(_, code)| code),
        });
        figures.collect()
    }
}

impl Line {
    /// Whether it moves.
    fn touch(&mut self, core: usize, writes: bool) -> bool {
        let bit = 1 << core;
        let (held, held_elsewhere) = (self.holders & bit != 0, self.holders & !bit != 0);
        let moves = match writes {
            true => held_elsewhere,
            false => !held && self.was_written,
        };
        self.was_written |= writes;
        self.holders = match writes {
            true => bit,
            false => self.holders | bit,
        };
        moves
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(touches: &[(usize, bool)]) -> Vec<bool> {
        let mut line = Line::default();
        let touches = touches.iter();
        touches
            .map(|&(core, writes)| line.touch(core, writes))
            .collect()
    }

    #[test]
    fn a_line_that_is_only_read_does_not_move() {
        assert_eq!(moves(&[(0, false), (1, false), (0, false)]), [false; 3]);
    }

    #[test]
    fn a_line_that_one_core_writes_does_not_move() {
        assert_eq!(moves(&[(0, true), (0, false), (0, true)]), [false; 3]);
    }

    #[test]
    fn a_line_moves_to_each_core_that_reads_it_after_a_write() {
        let touches = [(0, true), (1, false), (2, false), (1, false), (0, false)];
        assert_eq!(moves(&touches), [false, true, true, false, false]);
    }

    #[test]
    fn a_line_moves_to_a_core_that_writes_what_others_hold() {
        let touches = [(0, false), (1, false), (1, true), (1, true), (0, true)];
        assert_eq!(moves(&touches), [false, false, true, false, true]);
    }
}
