//! [`RejectReason`]: why a record that came from elsewhere does not count.

use std::error::Error;
use std::fmt;

use crate::dht::engine::CandidateError;
use crate::dht::record::Freshness;

/// Why a record that came from elsewhere does not count.
///
/// Each is counted: see [`DhtStats::refused`](crate::dht::DhtStats::refused).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// It is no record of this network, or its signature does not verify:
    /// damaged, or forged.
    Invalid,
    /// It is the record of another relay than the one asked for.
    WrongNode,
    /// It is this node's own.
    Own,
    /// Its relay is not on the allow-list.
    NotAllowed,
    /// Its endpoint is no public address.
    PrivateAddress,
    /// Its endpoint is a name, and names are not taken from strangers.
    Name,
    /// Its relay sits behind a NAT that keeps strangers out.
    NotReachable,
    /// Something newer was heard of its relay: it is replayed, or late.
    Replayed,
    /// Its relay withdrew it: it is replayed, or late.
    Withdrawn,
    /// Its time is over.
    Expired,
    /// It was issued in the future.
    FromTheFuture,
    /// Its relay signed something else with the same sequence.
    Conflict,
    /// It is too old to tell whether anything newer was ever heard of its relay.
    Forgotten,
    /// Its relay is registered locally, and that counts.
    HeldLocally,
    /// As many relays of the same network prefix are known as may be.
    TooManyOfPrefix,
    /// Its relay says something new too often.
    TooOften,
    /// Its relay failed its probes lately.
    FailedProbes,
    /// There are as many candidates as may be.
    Full,
    /// The registry learns from nobody: it has no distribution, or no probe.
    NotLearning,
}

impl RejectReason {
    /// All reasons.
    pub const ALL: [Self; 19] = [
        Self::Invalid,
        Self::WrongNode,
        Self::Own,
        Self::NotAllowed,
        Self::PrivateAddress,
        Self::Name,
        Self::NotReachable,
        Self::Replayed,
        Self::Withdrawn,
        Self::Expired,
        Self::FromTheFuture,
        Self::Conflict,
        Self::Forgotten,
        Self::HeldLocally,
        Self::TooManyOfPrefix,
        Self::TooOften,
        Self::FailedProbes,
        Self::Full,
        Self::NotLearning,
    ];
}

impl From<&CandidateError> for RejectReason {
    fn from(error: &CandidateError) -> Self {
        match error {
            CandidateError::WrongNode { .. } => Self::WrongNode,
            CandidateError::Invalid(_) => Self::Invalid,
        }
    }
}

impl RejectReason {
    /// Why a verdict keeps a record out, if it does.
    pub(super) fn by(verdict: Freshness) -> Option<Self> {
        match verdict {
            Freshness::Fresh | Freshness::Withdrawn | Freshness::Same => None,
            Freshness::Stale {
                withdrawn: false, ..
            } => Some(Self::Replayed),
            Freshness::Stale { .. } => Some(Self::Withdrawn),
            Freshness::Forgotten { .. } => Some(Self::Forgotten),
            Freshness::Expired => Some(Self::Expired),
            Freshness::FromTheFuture { .. } => Some(Self::FromTheFuture),
            Freshness::Conflict { .. } => Some(Self::Conflict),
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "it is no valid record of this network",
            Self::WrongNode => "it is another relay's",
            Self::Own => "it is this node's own",
            Self::NotAllowed => "its relay is not on the allow-list",
            Self::PrivateAddress => "its endpoint is not a public address",
            Self::Name => "names are not taken from strangers",
            Self::NotReachable => "its relay is behind a NAT that keeps strangers out",
            Self::Replayed => "something newer was heard of its relay",
            Self::Withdrawn => "its relay withdrew it",
            Self::Expired => "its time is over",
            Self::FromTheFuture => "it was issued in the future",
            Self::Conflict => "its relay signed something else with the same sequence",
            Self::Forgotten => "it is too old to tell whether it is the latest",
            Self::HeldLocally => "its relay is registered locally",
            Self::TooManyOfPrefix => "too many relays of its network prefix are known",
            Self::TooOften => "its relay says something new too often",
            Self::FailedProbes => "its relay failed its probes lately",
            Self::Full => "there are as many candidates as may be",
            Self::NotLearning => "the registry learns from nobody",
        })
    }
}

impl Error for RejectReason {}
