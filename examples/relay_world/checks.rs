//! The promises about every hand-out, and how often each was broken.

use std::ops::AddAssign;

/// How many hand-outs were checked, and how many broke a promise. All counts but the first must be 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks {
    pub handed_out: u64,
    /// The registry's own leases, or the load it knew, were more than the capacity.
    pub capacity_exceeded: u64,
    /// After the TTL.
    pub expired: u64,
    /// The relay is the target.
    pub target: u64,
    /// After the relay was unregistered, or never registered.
    pub departed: u64,
}

impl AddAssign for Checks {
    fn add_assign(&mut self, other: Self) {
        self.handed_out += other.handed_out;
        self.capacity_exceeded += other.capacity_exceeded;
        self.expired += other.expired;
        self.target += other.target;
        self.departed += other.departed;
    }
}
