//! Serialisation by [`serde`], with the feature of that name.
//!
//! Values without parts are strings in every format. What is deserialised is checked as the
//! constructors check it.

use crate::coordinates::Coordinate;
use crate::registry::Registration;
use crate::relay::{AddressPolicy, CircuitState, Endpoint, NatType, NodeId, RelayInfo};
use crate::select::PeerView;
use crate::table::record::Failure;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads a string, and makes a value of it.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

/// Values that are serialised as their `Display` writes them and `FromStr` reads them.
macro_rules! as_text {
    ($($value:ty,)*) => {$(
        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(PhantomData))
            }
        }
    )*};
}

as_text! { NodeId, Endpoint, NatType, AddressPolicy, }

/// Enumerations that are serialised as one of these names.
macro_rules! as_name {
    ($($enumeration:ident { $($variant:ident: $name:literal,)* })*) => {$(
        impl Serialize for $enumeration {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(match self {
                    $(Self::$variant => $name,)*
                })
            }
        }

        impl<'de> Deserialize<'de> for $enumeration {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Name;

                impl Visitor<'_> for Name {
                    type Value = $enumeration;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a name")
                    }

                    fn visit_str<E: de::Error>(self, name: &str) -> Result<$enumeration, E> {
                        match name {
                            $($name => Ok($enumeration::$variant),)*
                            _ => Err(E::unknown_variant(name, &[$($name),*])),
                        }
                    }
                }

                deserializer.deserialize_str(Name)
            }
        }
    )*};
}

as_name! {
    CircuitState { Closed: "closed", HalfOpen: "half-open", Open: "open", }
    Failure { Refused: "refused", TimedOut: "timed-out", }
    Registration { New: "new", Renewed: "renewed", Returned: "returned", }
}

/// In microseconds; the error is a ratio.
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
    rtt_us: u32,
}

impl Serialize for RoundTrips {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.pairs().map(|(relay, rtt_us)| RoundTrip {
            relay: *relay,
            rtt_us,
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
                while let Some(RoundTrip { relay, rtt_us }) = list.next_element()? {
                    let rtt = Duration::from_micros(rtt_us.into());
                    view = view.measured(relay, rtt).map_err(de::Error::custom)?;
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

/// Times are in milliseconds since the Unix epoch.
#[derive(Serialize)]
#[serde(rename = "RelayInfo")]
struct RelayInfoParts<'a> {
    node_id: &'a NodeId,
    endpoint: &'a Endpoint,
    capacity: u32,
    current_load: u32,
    latency_us: Option<u32>,
    latency_age_ms: Option<u64>,
    registered_at_ms: i64,
    expires_at_ms: i64,
    expires_in_ms: u64,
    ttl_ms: u64,
    tier: u8,
    cost: f64,
    labels: Vec<&'a str>,
    also_at: &'a [Endpoint],
    failure_domain: Option<&'a str>,
    payload: Option<&'a [u8]>,
    coordinate: &'a Option<Coordinate>,
    nat: Option<NatType>,
    draining: bool,
    banned: bool,
    circuit: CircuitState,
    last_resort: bool,
}

impl Serialize for RelayInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            node_id,
            endpoint,
            capacity,
            current_load,
            rtt_micros,
            rtt_second: _,
            origin: _,
            registered_at: _,
            expires_at: _,
            asked_at: _,
            ttl_nanos: _,
            tier,
            cost: _,
            details: _,
            coordinate,
            nat,
            draining,
            banned,
            circuit,
            last_resort,
        } = self;
        let parts = RelayInfoParts {
            node_id,
            endpoint,
            capacity: *capacity,
            current_load: *current_load,
            latency_us: *rtt_micros,
            latency_age_ms: self.latency_age().map(|age| millis(age) as u64),
            registered_at_ms: unix_millis(self.registered_at()),
            expires_at_ms: unix_millis(self.expires_at()),
            expires_in_ms: millis(self.expires_in()) as u64,
            ttl_ms: millis(self.ttl()) as u64,
            tier: *tier,
            cost: self.cost(),
            labels: self.labels().collect(),
            also_at: self.also_at(),
            failure_domain: self.failure_domain(),
            payload: self.payload(),
            coordinate,
            nat: *nat,
            draining: *draining,
            banned: *banned,
            circuit: *circuit,
            last_resort: *last_resort,
        };
        parts.serialize(serializer)
    }
}

fn unix_millis(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => millis(since),
        Err(before) => -millis(before.duration()),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
