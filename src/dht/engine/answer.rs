//! The results of an engine: [`Answer`] of a read, [`Put`] of a write, and the
//! [`Candidate`]s and [`Member`]s that a read streams.

use std::error::Error;
use std::fmt;

use crate::dht::record::{Network, RecordError, SignedRecord};
use crate::relay::NodeId;

/// Whether a read can prove that something is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Coverage {
    /// Enough nodes answered: what was not found is absent.
    Complete,
    /// Some nodes answered, but the read ended early or too few of them did. What
    /// was not found may exist.
    Partial,
    /// No node answered. What was not found may exist.
    Unreachable,
}

/// The result of a read: its coverage, and how many nodes answered.
///
/// The values that were found went to the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    coverage: Coverage,
    asked: u32,
    answered: u32,
    is_divided: bool,
}

impl Answer {
    /// `answered` of `asked` nodes answered, which is enough.
    ///
    /// If `answered` is 0, then the coverage is
    /// [`Unreachable`](Coverage::Unreachable). If it exceeds `asked`, then `asked`
    /// is raised to it.
    #[must_use]
    pub fn complete(asked: u32, answered: u32) -> Self {
        Self::new(Coverage::Complete, asked, answered)
    }

    /// `answered` of `asked` nodes answered, and the read ended early or these are
    /// too few. Otherwise as [`complete`](Self::complete).
    #[must_use]
    pub fn partial(asked: u32, answered: u32) -> Self {
        Self::new(Coverage::Partial, asked, answered)
    }

    /// None of `asked` nodes answered.
    #[must_use]
    pub fn unreachable(asked: u32) -> Self {
        Self::new(Coverage::Unreachable, asked, 0)
    }

    fn new(coverage: Coverage, asked: u32, answered: u32) -> Self {
        Self {
            coverage: if answered == 0 {
                Coverage::Unreachable
            } else {
                coverage
            },
            asked: asked.max(answered),
            answered,
            is_divided: false,
        }
    }

    /// Adds that the shard that was read [has divided](crate::dht::RelayDht::divide).
    #[must_use]
    pub const fn with_divided(mut self, is_divided: bool) -> Self {
        self.is_divided = is_divided;
        self
    }

    /// Whether the shard that was read has divided, as some node says. Not verified.
    #[must_use]
    pub const fn is_divided(&self) -> bool {
        self.is_divided
    }

    /// The coverage of the read.
    #[must_use]
    pub const fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Whether the coverage is [`Complete`](Coverage::Complete): what was not found
    /// is absent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.coverage == Coverage::Complete
    }

    /// The number of nodes that were asked, as far as the engine knows.
    #[must_use]
    pub const fn asked(&self) -> u32 {
        self.asked
    }

    /// The number of nodes that answered.
    #[must_use]
    pub const fn answered(&self) -> u32 {
        self.answered
    }
}

/// The result of a successful write: how many nodes stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    asked: u32,
    stored: u32,
    members: u32,
    max_members: u32,
}

impl Put {
    /// `stored` of `asked` nodes confirmed the write. An engine that does not know
    /// how many it asked passes `stored` twice.
    #[must_use]
    pub fn new(asked: u32, stored: u32) -> Self {
        Self {
            asked: asked.max(stored),
            stored,
            members: 0,
            max_members: 0,
        }
    }

    /// Adds how many members the shard has that was joined, this one included, and how many it
    /// can have. An engine whose shards do not divide need not.
    #[must_use]
    pub fn with_members(mut self, members: usize, max: usize) -> Self {
        let as_u32 = |number| u32::try_from(number).unwrap_or(u32::MAX);
        (self.members, self.max_members) = (as_u32(members), as_u32(max));
        self
    }

    /// The number of members of the shard that was joined; 0 if the engine does not say.
    #[must_use]
    pub const fn members(&self) -> u32 {
        self.members
    }

    /// Whether the shard that was joined is sparse: at most a quarter full. If both halves of a
    /// shard are, then their relays go back to it. False if the engine does not say.
    #[must_use]
    pub const fn is_sparse(&self) -> bool {
        self.members > 0 && self.members <= self.max_members / 4
    }

    /// The number of nodes that were asked, as far as the engine knows.
    #[must_use]
    pub const fn asked(&self) -> u32 {
        self.asked
    }

    /// The number of nodes that confirmed the write.
    #[must_use]
    pub const fn stored(&self) -> u32 {
        self.stored
    }
}

/// A value that a read found under a key, not verified: it may be an old record,
/// the record of another node, or no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Candidate<'a> {
    /// A record as [`SignedRecord::encode`] writes it.
    Encoded(&'a [u8]),
    /// The parts of a mutable item of [BEP 44].
    ///
    /// [BEP 44]: https://www.bittorrent.org/beps/bep_0044.html
    Bep44 {
        /// The item's `k`: the Ed25519 public key, which is the relay's node id.
        public_key: &'a [u8; 32],
        /// The item's `v`.
        value: &'a [u8],
        /// The item's `seq`.
        sequence: i64,
        /// The item's `sig`.
        signature: &'a [u8; 64],
    },
}

impl Candidate<'_> {
    /// Decodes the record and verifies it for `node` and `network`: its encoding,
    /// its signature and its node id. Does not check whether it is the latest: see
    /// [`SequenceMemory`](crate::dht::SequenceMemory).
    ///
    /// Costs one check of a signature, about 50 µs. Bytes beyond the maximum length
    /// are rejected unread.
    ///
    /// # Errors
    ///
    /// A [`CandidateError`] with the reason.
    pub fn verify(&self, node: &NodeId, network: &Network) -> Result<SignedRecord, CandidateError> {
        let record = match *self {
            Self::Encoded(bytes) => SignedRecord::decode(bytes, network),
            Self::Bep44 {
                public_key,
                value,
                sequence,
                signature,
            } => SignedRecord::from_bep44(*public_key, value, sequence, *signature, network),
        }?;
        if record.node_id() == *node {
            Ok(record)
        } else {
            Err(CandidateError::WrongNode {
                node: record.node_id(),
            })
        }
    }
}

/// Why a [`Candidate`] was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateError {
    /// It is not a valid record of the network. The [source](Error::source) has the
    /// reason.
    Invalid(RecordError),
    /// It is the valid record of another node.
    #[non_exhaustive]
    WrongNode {
        /// The node that signed it.
        node: NodeId,
    },
}

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(reason) => write!(f, "this is not a valid record: {reason}"),
            Self::WrongNode { node } => write!(f, "this is the record of {node}"),
        }
    }
}

impl Error for CandidateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(reason) => Some(reason),
            Self::WrongNode { .. } => None,
        }
    }
}

impl From<RecordError> for CandidateError {
    fn from(reason: RecordError) -> Self {
        Self::Invalid(reason)
    }
}

/// A relay that a directory lists, not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The node id of the relay.
    pub node: NodeId,
    /// Its record, if the directory stores it: the caller then needs no
    /// [`get`](crate::dht::RelayDht::get). Not verified.
    pub record: Option<Candidate<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_without_answers_proves_no_absence() {
        for unanswered in [
            Answer::complete(20, 0),
            Answer::partial(20, 0),
            Answer::unreachable(20),
        ] {
            assert_eq!(unanswered.coverage(), Coverage::Unreachable);
            assert!(!unanswered.is_complete());
            assert_eq!((unanswered.asked(), unanswered.answered()), (20, 0));
        }
        assert!(Answer::complete(20, 11).is_complete());
        assert!(!Answer::partial(20, 11).is_complete());
    }

    #[test]
    fn at_least_as_many_nodes_were_asked_as_answered() {
        assert_eq!(Answer::complete(3, 5).asked(), 5);
        assert_eq!(Put::new(3, 5).asked(), 5);
    }
}
