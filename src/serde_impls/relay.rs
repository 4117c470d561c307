//! What a relay declares, and what is known of it.

use super::units::{Hex, Seconds, UnixSeconds};
use crate::coordinates::Coordinate;
use crate::registry::SourceRelay;
use crate::relay::{
    CircuitState, DetailOptions, Endpoint, NatType, NodeId, RegisterOptions, RelayInfo,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What is not set is null, or left out.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename = "RegisterOptions")]
struct RegisterOptionsParts {
    capacity: Option<u32>,
    latency_seconds: Option<Seconds>,
    nat: Option<NatType>,
    ttl_seconds: Option<Seconds>,
    restarted: bool,
    failure_domain: Option<String>,
    tier: Option<u8>,
    cost: Option<f64>,
    labels: Option<Vec<String>>,
    also_at: Option<Vec<Endpoint>>,
    payload: Option<Hex<Vec<u8>>>,
}

impl From<&RegisterOptions> for RegisterOptionsParts {
    fn from(options: &RegisterOptions) -> Self {
        let RegisterOptions {
            capacity,
            latency,
            nat,
            ttl,
            restarted,
            details,
        } = options;
        let unset = DetailOptions::default();
        let DetailOptions {
            failure_domain,
            tier,
            cost,
            labels,
            also_at,
            payload,
        } = details.as_deref().unwrap_or(&unset);
        let labels = labels.as_ref().map(|labels| {
            let labels = labels.iter().flat_map(|labels| labels.iter());
            labels.map(|label| String::from(&*label.name)).collect()
        });
        Self {
            capacity: *capacity,
            latency_seconds: latency.map(Seconds),
            nat: *nat,
            ttl_seconds: ttl.map(Seconds),
            restarted: *restarted,
            failure_domain: failure_domain.as_deref().map(String::from),
            tier: *tier,
            cost: *cost,
            labels,
            also_at: also_at.clone(),
            payload: payload.as_ref().map(|payload| Hex(payload.to_vec())),
        }
    }
}

impl From<RegisterOptionsParts> for RegisterOptions {
    /// By the setters: an option that is not given is not set.
    fn from(parts: RegisterOptionsParts) -> Self {
        let RegisterOptionsParts {
            capacity,
            latency_seconds,
            nat,
            ttl_seconds,
            restarted,
            failure_domain,
            tier,
            cost,
            labels,
            also_at,
            payload,
        } = parts;
        let mut options = Self::new().restarted(restarted);
        options.capacity = capacity;
        options.latency = latency_seconds.map(|it| it.0);
        options.nat = nat;
        options.ttl = ttl_seconds.map(|it| it.0);
        if let Some(name) = failure_domain {
            options = options.failure_domain(name);
        }
        if let Some(tier) = tier {
            options = options.tier(tier);
        }
        if let Some(cost) = cost {
            options = options.cost(cost);
        }
        if let Some(labels) = labels {
            options = options.labels(labels);
        }
        if let Some(endpoints) = also_at {
            options = options.also_at(endpoints);
        }
        if let Some(payload) = payload {
            options = options.payload(payload.0);
        }
        options
    }
}

impl Serialize for RegisterOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RegisterOptionsParts::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for RegisterOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        RegisterOptionsParts::deserialize(deserializer).map(Self::from)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename = "SourceRelay")]
struct SourceRelayParts {
    id: NodeId,
    endpoint: Endpoint,
    #[serde(default)]
    options: RegisterOptionsParts,
}

impl Serialize for SourceRelay {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            id,
            endpoint,
            options,
        } = self;
        let parts = SourceRelayParts {
            id: *id,
            endpoint: endpoint.clone(),
            options: options.into(),
        };
        parts.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SourceRelay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let SourceRelayParts {
            id,
            endpoint,
            options,
        } = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(id, endpoint).with_options(options.into()))
    }
}

#[derive(Serialize)]
#[serde(rename = "RelayInfo")]
struct RelayInfoParts<'a> {
    node_id: &'a NodeId,
    endpoint: &'a Endpoint,
    capacity: u32,
    current_load: u32,
    latency_seconds: Option<Seconds>,
    latency_age_seconds: Option<Seconds>,
    registered_at_unix_seconds: UnixSeconds,
    expires_at_unix_seconds: UnixSeconds,
    expires_in_seconds: Seconds,
    ttl_seconds: Seconds,
    tier: u8,
    cost: f64,
    labels: Vec<&'a str>,
    also_at: &'a [Endpoint],
    failure_domain: Option<&'a str>,
    payload: Option<Hex<&'a [u8]>>,
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
            rtt_micros: _,
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
            latency_seconds: self.latency().map(Seconds),
            latency_age_seconds: self.latency_age().map(Seconds),
            registered_at_unix_seconds: UnixSeconds(self.registered_at()),
            expires_at_unix_seconds: UnixSeconds(self.expires_at()),
            expires_in_seconds: Seconds(self.expires_in()),
            ttl_seconds: Seconds(self.ttl()),
            tier: *tier,
            cost: self.cost(),
            labels: self.labels().collect(),
            also_at: self.also_at(),
            failure_domain: self.failure_domain(),
            payload: self.payload().map(Hex),
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
