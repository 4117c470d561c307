//! [`RejectReason`]: why a record from another node was not accepted.

use std::error::Error;
use std::fmt;

use crate::dht::engine::CandidateError;
use crate::dht::record::Freshness;

/// Why a record from another node was not accepted.
///
/// [`DhtStats::refused`](crate::dht::DhtStats::refused) counts each reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// It does not decode, it is of another network, or its signature does not verify.
    Invalid,
    /// It is the record of another relay than the requested one.
    WrongNode,
    /// It is the record of this node.
    Own,
    /// Its relay is not among those of [`allow_only`](crate::dht::DhtOptions::allow_only).
    NotAllowed,
    /// One of its endpoints is not one that the [policy](crate::AddressPolicy) of the options
    /// admits.
    PrivateAddress,
    /// One of its endpoints is a DNS name, and the options do not accept names.
    Name,
    /// Its relay is behind a NAT that drops unsolicited packets, or its announced NAT type
    /// contradicts its endpoint.
    NotReachable,
    /// A record with a higher sequence was seen before.
    Replayed,
    /// A withdrawal with a higher sequence was seen before.
    Withdrawn,
    /// Its TTL has ended.
    Expired,
    /// It was issued more than [`MAX_SKEW`](crate::dht::MAX_SKEW) ahead of the wall clock.
    FromTheFuture,
    /// Its relay signed a different record with the same sequence.
    Conflict,
    /// Nothing is remembered of its relay, and a record with a higher sequence was evicted from
    /// memory. So it may be a replay.
    Forgotten,
    /// Its relay is registered locally. A local registration takes precedence.
    HeldLocally,
    /// The quota of its network prefix is used up.
    TooManyOfPrefix,
    /// Its relay published more often than
    /// [`max_updates_per_minute`](crate::dht::DhtOptions::max_updates_per_minute).
    TooOften,
    /// Its relay failed its probes within the last two probe intervals.
    FailedProbes,
    /// There are [`max_candidates`](crate::dht::DhtOptions::max_candidates) candidates, and
    /// none gives way.
    Full,
    /// The registry does not learn relays: it has no DHT, or no probe, or was closed.
    NotLearning,
}

impl RejectReason {
    /// All reasons, in order of declaration.
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

    /// The reason as one word, for metrics: lower case, with underscores.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::WrongNode => "wrong_node",
            Self::Own => "own",
            Self::NotAllowed => "not_allowed",
            Self::PrivateAddress => "private_address",
            Self::Name => "name",
            Self::NotReachable => "not_reachable",
            Self::Replayed => "replayed",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::FromTheFuture => "from_the_future",
            Self::Conflict => "conflict",
            Self::Forgotten => "forgotten",
            Self::HeldLocally => "held_locally",
            Self::TooManyOfPrefix => "too_many_of_prefix",
            Self::TooOften => "too_often",
            Self::FailedProbes => "failed_probes",
            Self::Full => "full",
            Self::NotLearning => "not_learning",
        }
    }
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
    /// The reason for which a record of this freshness is rejected, if it is.
    pub(super) fn from_freshness(freshness: Freshness) -> Option<Self> {
        match freshness {
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
            Self::Invalid => "it is not a valid record of this network",
            Self::WrongNode => "it is the record of another relay",
            Self::Own => "it is the record of this node",
            Self::NotAllowed => "its relay is not on the allow-list",
            Self::PrivateAddress => "one of its endpoints is not a public address",
            Self::Name => "one of its endpoints is a DNS name",
            Self::NotReachable => "its relay is behind a NAT that drops unsolicited packets",
            Self::Replayed => "a newer record of its relay was seen",
            Self::Withdrawn => "its relay withdrew it",
            Self::Expired => "it has expired",
            Self::FromTheFuture => "it was issued in the future",
            Self::Conflict => "its relay signed another record with the same sequence",
            Self::Forgotten => "it may be older than a record that was forgotten",
            Self::HeldLocally => "its relay is registered locally",
            Self::TooManyOfPrefix => "the quota of its network prefix is used up",
            Self::TooOften => "its relay publishes too often",
            Self::FailedProbes => "its relay failed its probes recently",
            Self::Full => "the limit of candidates is reached",
            Self::NotLearning => "the registry does not learn relays",
        })
    }
}

impl Error for RejectReason {}
