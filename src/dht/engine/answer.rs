//! What an engine answers: [`Answer`], [`Put`], and the [`Candidate`]s and
//! [`Member`]s that it streams.

use std::error::Error;
use std::fmt;

use crate::dht::record::{Network, RecordError, SignedRecord};
use crate::relay::NodeId;

/// How far a read reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// As many answered as the engine needs to be sure. What was not found by
    /// this is absent.
    Complete,
    /// Some answered, and the read ended early, or too many kept silent. What
    /// was not found by this may exist.
    Partial,
    /// Nobody answered, which says nothing about what exists.
    Unreachable,
}

/// The end of a read: how far it reached.
///
/// What was found went to the sink; this says what to make of what was not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    coverage: Coverage,
    asked: u32,
    answered: u32,
}

impl Answer {
    /// As many of those `asked` answered as the engine needs to be sure.
    ///
    /// Where nobody answered this is [`Unreachable`](Coverage::Unreachable)
    /// all the same.
    #[must_use]
    pub fn complete(asked: u32, answered: u32) -> Self {
        Self::new(Coverage::Complete, asked, answered)
    }

    /// The read ended early, or too few of those `asked` answered.
    ///
    /// Where nobody answered this is [`Unreachable`](Coverage::Unreachable)
    /// all the same.
    #[must_use]
    pub fn partial(asked: u32, answered: u32) -> Self {
        Self::new(Coverage::Partial, asked, answered)
    }

    /// None of those `asked` answered.
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
        }
    }

    /// How far the read reached.
    #[must_use]
    pub const fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Whether what was not found is absent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.coverage == Coverage::Complete
    }

    /// How many nodes were asked, as far as the engine knows.
    #[must_use]
    pub const fn asked(&self) -> u32 {
        self.asked
    }

    /// How many of them answered.
    #[must_use]
    pub const fn answered(&self) -> u32 {
        self.answered
    }
}

/// The end of a write that was accepted: by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    asked: u32,
    stored: u32,
}

impl Put {
    /// `stored` of the nodes `asked` said that they hold it now. An engine that
    /// does not know how many it asked says `stored` twice.
    #[must_use]
    pub fn new(asked: u32, stored: u32) -> Self {
        Self {
            asked: asked.max(stored),
            stored,
        }
    }

    /// How many nodes were asked, as far as the engine knows.
    #[must_use]
    pub const fn asked(&self) -> u32 {
        self.asked
    }

    /// How many nodes hold what was written.
    #[must_use]
    pub const fn stored(&self) -> u32 {
        self.stored
    }
}

/// What came back for a key, unjudged: a record, an old one, another's, or
/// noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Candidate<'a> {
    /// A whole record, as [`SignedRecord::encode`] writes it.
    Encoded(&'a [u8]),
    /// The parts of a mutable item of [BEP 44], as its storage nodes keep it.
    ///
    /// [BEP 44]: https://www.bittorrent.org/beps/bep_0044.html
    Bep44 {
        /// The ed25519 public key, which is the relay's node id.
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
    /// Reads and verifies the record of `node` in `network`: its form, its
    /// signature, and that it is this node's and no other's. Freshness is
    /// another question, and not answered here.
    ///
    /// Costs one signature check, about 50 µs, and nothing that depends on
    /// what a stranger sent beyond its length, which is bounded first.
    ///
    /// # Errors
    ///
    /// A [`CandidateError`] that says what is wrong with it.
    pub fn open(&self, node: &NodeId, network: &Network) -> Result<SignedRecord, CandidateError> {
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

/// Why a [`Candidate`] is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateError {
    /// It is no valid record of the network; the [source](Error::source) says
    /// why not.
    Invalid(RecordError),
    /// It is the valid record of another node than the one asked for.
    #[non_exhaustive]
    WrongNode {
        /// Whose it is.
        node: NodeId,
    },
}

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(_) => f.write_str("this is no valid record"),
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

/// A relay that a directory lists: a hint where to look, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Who is said to be a relay.
    pub node: NodeId,
    /// Its record, where the directory carries it: unjudged as any other, and
    /// it spares a [`get`](crate::dht::RelayDht::get).
    pub record: Option<Candidate<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_never_absence() {
        for silent in [
            Answer::complete(20, 0),
            Answer::partial(20, 0),
            Answer::unreachable(20),
        ] {
            assert_eq!(silent.coverage(), Coverage::Unreachable);
            assert!(!silent.is_complete());
            assert_eq!((silent.asked(), silent.answered()), (20, 0));
        }
        assert!(Answer::complete(20, 11).is_complete());
        assert!(!Answer::partial(20, 11).is_complete());
    }

    #[test]
    fn nobody_answers_unasked() {
        assert_eq!(Answer::complete(3, 5).asked(), 5);
        assert_eq!(Put::new(3, 5).asked(), 5);
    }
}
