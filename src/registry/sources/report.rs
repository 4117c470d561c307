//! [`SyncReport`]: what became of a list.

use crate::errors::RegisterError;
use crate::relay::NodeId;

/// What a call of [`Registry::sync_source`](crate::Registry::sync_source) did.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SyncReport {
    /// Relays that were not registered, nor remembered.
    pub registered: usize,
    /// Relays that were registered already, and are as the list says now.
    pub renewed: usize,
    /// Relays that had left or expired, and [returned](crate::Registration::Returned).
    pub returned: usize,
    /// Relays that were unregistered, because this tag does not list them any more, and no other
    /// tag does.
    pub removed: usize,
    /// Relays that were refused, and why, in the order of the list. One of these that the tag had
    /// before stays registered as it was.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::serde_impls::refusals")
    )]
    pub refused: Vec<(NodeId, RegisterError)>,
    /// Relays that were listed more than once, each named once. The last entry counted.
    pub duplicates: Vec<NodeId>,
}
