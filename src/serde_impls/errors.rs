//! Errors of the registry's calls: their kind and their message.

use crate::errors::{
    BanError, FindError, LeaseError, OperatorError, PeerViewError, RegisterError, Rejections,
    RenewError, SyncError,
};
use crate::relay::NodeId;
use serde::{Serialize, Serializer};

/// An error, and what it is about.
#[derive(Serialize)]
struct ErrorParts {
    kind: &'static str,
    message: String,
}

/// Errors that are serialised as their kind, one of these names, and their message.
macro_rules! as_error {
    ($($error:ident { $($variant:ident: $kind:literal,)* })*) => {$(
        impl Serialize for $error {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let kind = match self {
                    $(Self::$variant { .. } => $kind,)*
                };
                let message = self.to_string();
                ErrorParts { kind, message }.serialize(serializer)
            }
        }
    )*};
}

as_error! {
    BanError {
        TooLong: "too-long",
        TooMany: "too-many",
        OutOfMemory: "out-of-memory",
        Backlogged: "backlogged",
    }
    LeaseError {
        UnknownRelay: "unknown-relay",
        Full: "full",
        Draining: "draining",
        Banned: "banned",
    }
    OperatorError {
        InvalidCost: "invalid-cost",
        TooMany: "too-many",
        OutOfMemory: "out-of-memory",
        Backlogged: "backlogged",
    }
    PeerViewError {
        InvalidRtt: "invalid-rtt",
        Full: "full",
    }
    RegisterError {
        Full: "full",
        NotReachable: "not-reachable",
        InvalidEndpoint: "invalid-endpoint",
        InvalidCapacity: "invalid-capacity",
        InvalidTtl: "invalid-ttl",
        InvalidLatency: "invalid-latency",
        Backlogged: "backlogged",
        InvalidFailureDomain: "invalid-failure-domain",
        InvalidCost: "invalid-cost",
        InvalidLabel: "invalid-label",
        TooManyLabels: "too-many-labels",
        PayloadTooLong: "payload-too-long",
        TooManyEndpoints: "too-many-endpoints",
        InvalidFurtherEndpoint: "invalid-further-endpoint",
        TooLargeToPublish: "too-large-to-publish",
        EndpointTaken: "endpoint-taken",
        ClockExhausted: "clock-exhausted",
    }
    RenewError { UnknownRelay: "unknown-relay", }
    SyncError {
        InvalidTag: "invalid-tag",
        TooManyTags: "too-many-tags",
        TooManyRelays: "too-many-relays",
    }
}

#[derive(Serialize)]
#[serde(rename = "FindError")]
struct FindErrorParts {
    kind: &'static str,
    message: String,
    rejections: Rejections,
}

impl Serialize for FindError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self::NoRelaysAvailable { rejections } = self;
        let parts = FindErrorParts {
            kind: "no-relays-available",
            message: self.to_string(),
            rejections: *rejections,
        };
        parts.serialize(serializer)
    }
}

#[derive(Serialize)]
struct Refusal<'a> {
    relay: NodeId,
    error: &'a RegisterError,
}

/// Relays that were refused, and why.
pub(crate) fn refusals<S: Serializer>(
    refused: &[(NodeId, RegisterError)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(refused.iter().map(|(relay, error)| Refusal {
        relay: *relay,
        error,
    }))
}
