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
    bands: Box<[Band]>,
}

/// Practically equal entries that follow each other.
#[derive(Clone, Copy, Debug)]
struct Band {
    end: u32,
    /// The length of the first entry.
    micros: u32,
}

impl Order {
    /// Sorts entries. Their paths are longer by `rest_micros` than what they
    /// are sorted by.
    pub(crate) fn new(mut entries: Vec<Entry>, rest_micros: u32) -> Self {
        entries.sort_unstable_by_key(|entry| (entry.micros, entry.relay.index));
        let mut bands = Vec::new();
        let mut start = 0;
        while let Some(&Entry { micros, .. }) = entries.get(start) {
            let limit = micros + band_width(micros + rest_micros);
            start += entries[start..].partition_point(|entry| entry.micros <= limit);
            let end = start as u32;
            bands.push(Band { end, micros });
        }
        Self {
            entries: entries.into_boxed_slice(),
            bands: bands.into_boxed_slice(),
        }
    }

    /// Ranges of practically equal entries, nearest first, each with the length
    /// of the first of them.
    #[inline(always)]
    pub(crate) fn bands(&self) -> impl Iterator<Item = (Range<usize>, u32)> {
        let mut start = 0;
        self.bands.iter().map(move |band| {
            let end = band.end as usize;
            (std::mem::replace(&mut start, end)..end, band.micros)
        })
    }

    /// How many entries there are in the bands up to the last one that begins
    /// with a length for which `wanted` holds, as it does for all shorter ones.
    #[inline]
    pub(crate) fn count_while(&self, wanted: impl Fn(u32) -> bool) -> usize {
        let bands = self.bands.partition_point(|band| wanted(band.micros));
        bands
            .checked_sub(1)
            .map_or(0, |last| self.bands[last].end as usize)
    }
}

/// Entries whose length is within this of the first of their band are as good
/// as it.
fn band_width(path_micros: u32) -> u32 {
    path_micros / 32
}
