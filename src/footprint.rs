//! [`Footprint`]: how much memory something takes.

use crate::sync::Arc;
use std::iter::Sum;
use std::ops::Add;

/// Bytes of memory, as far as they are on the heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Those that were used so far, at any time. The others may be address space alone.
    pub(crate) used: usize,
    /// All that were allocated.
    pub(crate) reserved: usize,
}

impl Footprint {
    /// Of so many bytes, all of which are used.
    pub(crate) fn of_bytes(bytes: usize) -> Self {
        Self {
            used: bytes,
            reserved: bytes,
        }
    }

    /// Of a value.
    pub(crate) fn of<T>() -> Self {
        Self::of_bytes(size_of::<T>())
    }

    /// Of so many items, all of which are used.
    pub(crate) fn of_items<T>(items: usize) -> Self {
        Self::of_bytes(items * size_of::<T>())
    }

    /// Of room for `reserved` items, the first `used` of which are used.
    pub(crate) fn of_some<T>(used: usize, reserved: usize) -> Self {
        Self {
            used: used.min(reserved) * size_of::<T>(),
            reserved: reserved * size_of::<T>(),
        }
    }

    /// Of a hash map of entries of this type with this capacity: seven eighths of its places,
    /// each of which has one byte more.
    pub(crate) fn of_hash_map<T>(capacity: usize) -> Self {
        Self::of_bytes(capacity.div_ceil(7) * 8 * (size_of::<T>() + 1))
    }
}

/// Of what an `Arc` points to, with its two counts, divided by the number of those that share
/// it.
pub(crate) fn share_of<T: ?Sized>(shared: &Arc<T>) -> Footprint {
    let bytes = size_of_val(&**shared) + 2 * size_of::<usize>();
    Footprint::of_bytes(bytes.div_ceil(Arc::strong_count(shared)))
}

impl Add for Footprint {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            used: self.used + other.used,
            reserved: self.reserved + other.reserved,
        }
    }
}

impl Sum for Footprint {
    fn sum<I: Iterator<Item = Self>>(each: I) -> Self {
        each.fold(Self::default(), Add::add)
    }
}
