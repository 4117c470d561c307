//! Relays in ascending order of a length: that of their round trip from here,
//! or of a path.

use crate::table::Handle;
use std::ops::Range;

/// Up to so many entries are all looked at, and need no other order.
pub(crate) const EXACT: usize = 64;

/// One relay in an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What it was sorted by, in microseconds.
    pub(crate) micros: u32,
    pub(crate) relay: Handle,
}

/// Relays in ascending order, and where practically equal ones end.
#[derive(Debug, Default)]
pub(crate) struct Order {
    pub(crate) entries: Box<[Entry]>,
    /// Where each band of practically equal entries ends.
    band_ends: Box<[u32]>,
}

impl Order {
    /// Sorts entries. Their paths are longer by `rest_micros` than what they
    /// are sorted by.
    pub(crate) fn new(mut entries: Vec<Entry>, rest_micros: u32) -> Self {
        entries.sort_unstable_by_key(|entry| (entry.micros, entry.relay.index));
        let mut band_ends = Vec::new();
        let mut start = 0;
        while let Some(first) = entries.get(start) {
            let limit = first.micros + band_width(first.micros + rest_micros);
            start += entries[start..].partition_point(|entry| entry.micros <= limit);
            band_ends.push(start as u32);
        }
        Self {
            entries: entries.into_boxed_slice(),
            band_ends: band_ends.into_boxed_slice(),
        }
    }

    /// Ranges of practically equal entries, nearest first.
    pub(crate) fn bands(&self) -> impl Iterator<Item = Range<usize>> {
        let mut start = 0;
        self.band_ends.iter().map(move |&end| {
            let end = end as usize;
            std::mem::replace(&mut start, end)..end
        })
    }
}

/// Entries whose length is within this of the first of their band are as good
/// as it.
fn band_width(path_micros: u32) -> u32 {
    path_micros / 32
}
