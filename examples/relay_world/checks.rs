//! What the registry promises of every hand-out, and how often it was broken.

use std::ops::AddAssign;

/// Hand-outs that were looked at, and those that must not have been. Every
/// number but the first should be 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checks {
    pub handed_out: u64,
    /// Beyond the capacity, by the registry's own leases or the load it knew of.
    pub capacity_exceeded: u64,
    /// After its time to live.
    pub expired: u64,
    /// To reach itself.
    pub target: u64,
    /// After it was unregistered, or never registered at all.
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
