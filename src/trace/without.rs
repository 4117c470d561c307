//! The same types in a build without the feature `tracing`. They are empty.

use crate::errors::RegisterError;
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Noted {}

#[derive(Debug, Default)]
pub(crate) struct RegistryTrace {}

pub(crate) struct PassSpan {}

pub(crate) struct SortSpan {}

pub(crate) struct CloseSpan {}

impl Noted {
    #[inline(always)]
    pub(crate) fn note_if(&self, _: impl FnOnce() -> Option<u64>) {}
}

#[allow(clippy::unused_self, reason = "as with the feature")]
impl RegistryTrace {
    pub(crate) fn built(&self, _: usize, _: Duration, _: Duration) {}

    pub(crate) fn closing(&self) {}

    pub(crate) fn close_span(&self) -> CloseSpan {
        CloseSpan {}
    }

    #[inline(always)]
    pub(crate) fn note_refusal(&self, _: &RegisterError) {}

    pub(crate) fn pass_span(&self) -> PassSpan {
        PassSpan {}
    }

    pub(crate) fn sort_span(&self) -> SortSpan {
        SortSpan {}
    }

    /// No subscriber panics.
    pub(crate) fn warn(&self, _: Duration, _: &Noted, _: u64) -> u64 {
        0
    }
}

impl PassSpan {
    pub(crate) fn ended(self, _: usize, _: bool, _: usize) {}
}

impl SortSpan {
    pub(crate) fn ended(self, _: bool) {}
}
