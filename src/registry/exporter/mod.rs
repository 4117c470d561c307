//! Passes the figures of [`Stats`](crate::Stats) to the facade of the crate `metrics`, with the
//! feature of that name.
//!
//! The rest of the registry uses two types of this module: [`ExporterSettings`] holds what the
//! builder got, and [`Exporter`] belongs to the registry. Without the feature they are empty
//! and do nothing, so that no caller needs a `cfg`.
//!
//! A maintenance pass exports, after all else: it holds no lock then and is not pinned, for the
//! recorder is the embedder's code.

#[cfg(feature = "metrics")]
mod facade;
#[cfg(feature = "metrics")]
mod methods;
#[cfg(not(feature = "metrics"))]
mod without;

#[cfg(feature = "metrics")]
pub(super) use facade::{Exporter, ExporterSettings};
#[cfg(not(feature = "metrics"))]
pub(super) use without::{Exporter, ExporterSettings};
