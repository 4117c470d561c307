//! What the DHT says of records of other nodes.

use super::names::as_name;
use crate::dht::{OfferOutcome, Refused, RejectReason};
use serde::Serializer;

as_name! {
    OfferOutcome {
        Candidate: "candidate",
        Renewed: "renewed",
        Known: "known",
        Withdrawn: "withdrawn",
    }
    RejectReason {
        Invalid: "invalid",
        WrongNode: "wrong-node",
        Own: "own",
        NotAllowed: "not-allowed",
        PrivateAddress: "private-address",
        Name: "name",
        NotReachable: "not-reachable",
        Replayed: "replayed",
        Withdrawn: "withdrawn",
        Expired: "expired",
        FromTheFuture: "from-the-future",
        Conflict: "conflict",
        Forgotten: "forgotten",
        HeldLocally: "held-locally",
        TooManyOfPrefix: "too-many-of-prefix",
        TooOften: "too-often",
        FailedProbes: "failed-probes",
        Full: "full",
        NotLearning: "not-learning",
    }
}

/// Each count by the name of its reason.
pub(crate) fn by_reason<S: Serializer>(counts: &Refused, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(counts.iter())
}
