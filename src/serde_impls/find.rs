//! What a find asks for, and the explanation of what it would return.

use super::units::{Seconds, finite};
use crate::errors::Rejections;
use crate::relay::{CircuitState, Endpoint, IpFamily, NodeId};
use crate::select::options::Preference;
use crate::select::{Explained, Explanation, FindOptions, LegSource, PeerView, Verdict};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename = "FindOptions")]
struct FindOptionsParts {
    max_results: usize,
    exclude: Vec<NodeId>,
    exclude_domains: Vec<String>,
    max_latency_seconds: Option<Seconds>,
    allow_unmeasured: bool,
    requester: Option<NodeId>,
    requester_view: Option<PeerView>,
    target_view: Option<PeerView>,
    prefer: Option<Prefer>,
    max_spread_cost: f64,
    require: Vec<String>,
    avoid: Vec<String>,
    family: Option<IpFamily>,
    units: u32,
}

/// The relay to keep, and what must be gained to leave it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Prefer {
    relay: NodeId,
    #[serde(default = "Prefer::gain")]
    gain_seconds: Seconds,
    #[serde(default = "Prefer::share")]
    share: f64,
}

impl Prefer {
    fn gain() -> Seconds {
        Seconds(Preference::LEAST_GAIN)
    }

    fn share() -> f64 {
        Preference::LEAST_SHARE
    }
}

impl Default for FindOptionsParts {
    fn default() -> Self {
        Self::from(&FindOptions::new())
    }
}

impl From<&FindOptions> for FindOptionsParts {
    fn from(options: &FindOptions) -> Self {
        let FindOptions {
            max_results,
            exclude,
            max_latency,
            allow_unmeasured,
            requester,
            requester_view,
            target_view,
            preference,
            max_spread_cost,
            filter,
            exclude_domains,
            // It follows from the two above.
            is_filtered: _,
            units,
        } = options;
        let filter = filter.as_deref();
        let required = filter.map(|it| it.required()).unwrap_or_default();
        let avoided = filter.map(|it| it.avoided()).unwrap_or_default();
        Self {
            max_results: *max_results,
            exclude: exclude.clone(),
            exclude_domains: exclude_domains.iter().map(|it| it.to_string()).collect(),
            max_latency_seconds: max_latency.map(Seconds),
            allow_unmeasured: *allow_unmeasured,
            requester: *requester,
            requester_view: *requester_view,
            target_view: *target_view,
            prefer: preference.map(Prefer::from),
            max_spread_cost: *max_spread_cost,
            require: required.iter().map(|it| it.name.to_string()).collect(),
            avoid: avoided.iter().map(|it| it.name.to_string()).collect(),
            family: filter.and_then(|it| it.family()),
            units: units.get(),
        }
    }
}

impl From<Preference> for Prefer {
    fn from(preference: Preference) -> Self {
        let Preference {
            relay,
            least_gain,
            least_share,
        } = preference;
        Self {
            relay,
            gain_seconds: Seconds(least_gain),
            share: least_share,
        }
    }
}

impl From<FindOptionsParts> for FindOptions {
    /// By the setters, which bring each value into its range.
    fn from(parts: FindOptionsParts) -> Self {
        let FindOptionsParts {
            max_results,
            exclude,
            exclude_domains,
            max_latency_seconds,
            allow_unmeasured,
            requester,
            requester_view,
            target_view,
            prefer,
            max_spread_cost,
            require,
            avoid,
            family,
            units,
        } = parts;
        let mut options = Self::new()
            .max_results(max_results)
            .exclude(exclude)
            .exclude_domains(exclude_domains)
            .allow_unmeasured(allow_unmeasured)
            .max_spread_cost(max_spread_cost)
            .require(require)
            .avoid(avoid)
            .units(units);
        options.max_latency = max_latency_seconds.map(|it| it.0);
        options.requester = requester;
        options.requester_view = requester_view;
        options.target_view = target_view;
        if let Some(prefer) = prefer {
            options = options.prefer(prefer.relay);
            options = options.prefer_with(prefer.gain_seconds.0, prefer.share);
        }
        match family {
            Some(family) => options.family(family),
            None => options,
        }
    }
}

impl Serialize for FindOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        FindOptionsParts::from(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FindOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        FindOptionsParts::deserialize(deserializer).map(Self::from)
    }
}

#[derive(Serialize)]
#[serde(rename = "Explanation")]
struct ExplanationParts<'a> {
    target: NodeId,
    options: &'a FindOptions,
    eligible: usize,
    rejections: Rejections,
    relays: &'a [Explained],
}

impl Serialize for Explanation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let parts = ExplanationParts {
            target: self.target(),
            options: self.options(),
            eligible: self.eligible(),
            rejections: self.rejections(),
            relays: self.relays(),
        };
        parts.serialize(serializer)
    }
}

/// Penalty and score of a relay that is full are infinite, and written as null.
#[derive(Serialize)]
#[serde(rename = "Explained")]
struct ExplainedParts<'a> {
    relay: &'a NodeId,
    verdict: Verdict,
    endpoint: &'a Endpoint,
    labels: Vec<&'a str>,
    tier: u8,
    cost: f64,
    load: u32,
    capacity: u32,
    utilisation: f64,
    circuit: CircuitState,
    requester_leg_seconds: Seconds,
    requester_leg_source: LegSource,
    target_leg_seconds: Seconds,
    target_leg_source: LegSource,
    path_seconds: Seconds,
    penalty: Option<f64>,
    score_seconds: Option<f64>,
}

impl Serialize for Explained {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            relay,
            verdict,
            endpoint,
            load,
            capacity,
            requester_leg,
            requester_leg_source,
            target_leg,
            target_leg_source,
            utilisation,
            circuit,
            penalty,
            tier,
            cost,
            labels: _,
        } = self;
        let parts = ExplainedParts {
            relay,
            verdict: *verdict,
            endpoint,
            labels: self.labels().collect(),
            tier: *tier,
            cost: *cost,
            load: *load,
            capacity: *capacity,
            utilisation: *utilisation,
            circuit: *circuit,
            requester_leg_seconds: Seconds(*requester_leg),
            requester_leg_source: *requester_leg_source,
            target_leg_seconds: Seconds(*target_leg),
            target_leg_source: *target_leg_source,
            path_seconds: Seconds(self.path()),
            penalty: finite(*penalty),
            score_seconds: finite(self.score_ms() / 1e3),
        };
        parts.serialize(serializer)
    }
}
