//! Coordinates, and views of peers.

use super::units::Seconds;
use crate::coordinates::Coordinate;
use crate::relay::NodeId;
use crate::select::PeerView;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// In the units of [`Coordinate::new`]: microseconds, but for the error, which is a ratio.
#[derive(Serialize, Deserialize)]
#[serde(rename = "Coordinate")]
struct CoordinateParts {
    position: [f32; Coordinate::DIMENSIONS],
    height: f32,
    adjustment: f32,
    error: f32,
}

impl Serialize for Coordinate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = CoordinateParts {
            position: self.position(),
            height: self.height(),
            adjustment: self.adjustment(),
            error: self.error(),
        };
        parts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Coordinate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let CoordinateParts {
            position,
            height,
            adjustment,
            error,
        } = Deserialize::deserialize(deserializer)?;
        Self::new(position, height, adjustment, error).map_err(de::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename = "PeerView")]
struct PeerViewParts {
    measured: RoundTrips,
    #[serde(default)]
    coordinate: Option<Coordinate>,
}

/// A view as the list of its round trips.
struct RoundTrips(PeerView);

#[derive(Serialize, Deserialize)]
struct RoundTrip {
    relay: NodeId,
    rtt_seconds: Seconds,
}

impl Serialize for RoundTrips {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.pairs().map(|(relay, micros)| RoundTrip {
            relay: *relay,
            rtt_seconds: Seconds(Duration::from_micros(micros.into())),
        }))
    }
}

impl<'de> Deserialize<'de> for RoundTrips {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = RoundTrips;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "up to {} round trips", PeerView::MAX_MEASURED)
            }

            /// Keeps no more than a view holds, however long the list is.
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<RoundTrips, A::Error> {
                let mut view = PeerView::new();
                while let Some(RoundTrip { relay, rtt_seconds }) = list.next_element()? {
                    view = view
                        .measured(relay, rtt_seconds.0)
                        .map_err(de::Error::custom)?;
                }
                Ok(RoundTrips(view))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

impl Serialize for PeerView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = PeerViewParts {
            measured: RoundTrips(*self),
            coordinate: self.position(),
        };
        parts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PeerView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let PeerViewParts {
            measured: RoundTrips(view),
            coordinate,
        } = Deserialize::deserialize(deserializer)?;
        Ok(match coordinate {
            Some(coordinate) => view.coordinate(coordinate),
            None => view,
        })
    }
}
