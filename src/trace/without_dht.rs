//! The types for the DHT in a build without the feature `tracing`. They are empty.

use super::Issue;
use crate::dht::{DhtError, OfferOutcome, RejectReason, ShardPath};
use crate::relay::{Endpoint, NodeId};
use std::fmt;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct DhtTrace {}

#[derive(Debug, Default)]
pub(crate) struct DhtNotes {}

pub(crate) struct JobSpan {}

impl DhtNotes {
    pub(crate) fn admitted(&mut self, _: &NodeId) {}

    pub(crate) fn offered(
        &mut self,
        _: &NodeId,
        _: Result<OfferOutcome, RejectReason>,
        _: (Duration, Duration),
        _: impl FnOnce() -> Option<Issue>,
    ) {
    }

    pub(crate) fn engine_called(&mut self, _: Option<&DhtError>, _: bool, _: u64, _: (bool, bool)) {
    }

    pub(crate) fn take(&mut self) {}
}

impl DhtTrace {
    pub(crate) fn publish_span(&self, _: &NodeId, _: Option<ShardPath>, _: bool) -> JobSpan {
        JobSpan {}
    }

    pub(crate) fn query_span(&self, _: Option<&NodeId>, _: Option<ShardPath>) -> JobSpan {
        JobSpan {}
    }

    pub(crate) fn probe_span(&self, _: &NodeId, _: &Endpoint) -> JobSpan {
        JobSpan {}
    }

    pub(crate) fn say(&self, (): (), _: Duration) {}

    /// No subscriber panics.
    pub(crate) fn take_panics(&self) -> u64 {
        0
    }
}

impl JobSpan {
    pub(crate) fn ended(self, _: &Result<impl fmt::Debug, impl fmt::Display>, _: bool) {}
}
