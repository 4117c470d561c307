//! Network coordinates: positions of nodes in the space of round-trip times.
//!
//! The leg from a relay to another peer cannot be measured here, so it is estimated as
//! the distance between two [`Coordinate`]s.
//!
//! - A node finds its own coordinate by [`Vivaldi`], from round trips that it measures.
//! - A relay's coordinate is that of a [`Landmark`]: it follows from round trips that
//!   others measured to the relay. [`RepeatedOutliers`] tells which outliers among these
//!   are evidence.
//! - [`CoordinateMap`] has the coordinates of one registry's relays.
//! - [`CoordinateBatch`] has some of them, laid out for estimates of all at once.
//! - [`LandmarkEstimate`] needs no coordinate of the peer: it uses the round trips from the
//!   peer to some relays.
//!
//! [`RepeatedOutliers`]: repeated_outliers::RepeatedOutliers

mod batch;
mod coordinate;
mod error;
mod landmark;
mod landmark_estimate;
mod map;
mod repeated_outliers;
mod spring;
mod vivaldi;

pub use coordinate::Coordinate;
pub use error::{CoordinateError, ObserveError};
pub use landmark::Landmark;
pub use vivaldi::Vivaldi;

pub(crate) use batch::{CoordinateBatch, Each};
pub(crate) use landmark_estimate::LandmarkEstimate;
pub(crate) use map::CoordinateMap;
#[cfg(feature = "persistence")]
pub(crate) use {landmark::SavedLandmark, vivaldi::SavedVivaldi};

use crate::limits::MAX_RTT;

/// [`Coordinate::MAX_ERROR`].
const MAX_ERROR: f32 = 1.5;

/// [`MAX_RTT`] in microseconds. Whole numbers up to here are exact in `f32`.
const MAX_MICROS: f32 = MAX_RTT.as_secs() as f32 * 1e6;
