//! Messages of BitTorrent's DHT (BEP 5 and BEP 44), as far as the attacker's node needs them.

use std::collections::HashMap;

use serde_bencode::value::Value;

/// The fields of a query that are used.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    transaction: Vec<u8>,
    pub method: Vec<u8>,
    /// The target, in queries that have one.
    pub target: Option<Vec<u8>>,
}

pub fn bytes(of: impl Into<Vec<u8>>) -> Value {
    Value::Bytes(of.into())
}

pub fn dictionary<const N: usize>(entries: [(&str, Value); N]) -> HashMap<Vec<u8>, Value> {
    entries
        .into_iter()
        .map(|(key, value)| (key.into(), value))
        .collect()
}

impl Query {
    /// Reads the query in a datagram; `None` if there is none.
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let Value::Dict(mut message) = serde_bencode::from_bytes(datagram).ok()? else {
            return None;
        };
        let mut field = |name: &str| message.remove(name.as_bytes());
        let (Value::Bytes(transaction), Value::Bytes(method)) = (field("t")?, field("q")?) else {
            return None;
        };
        let target = match field("a")? {
            Value::Dict(mut arguments) => arguments.remove(&b"target"[..]),
            _ => return None,
        };
        Some(Self {
            transaction,
            method,
            target: match target {
                Some(Value::Bytes(target)) => Some(target),
                _ => None,
            },
        })
    }

    /// Encodes the answer.
    pub fn answer(&self, arguments: HashMap<Vec<u8>, Value>) -> Option<Vec<u8>> {
        encode([
            ("t", bytes(self.transaction.clone())),
            ("y", bytes(*b"r")),
            ("r", Value::Dict(arguments)),
        ])
    }
}

/// The datagram by which a node makes itself known.
pub fn find_node(own: &[u8; 20]) -> Option<Vec<u8>> {
    let arguments = dictionary([("id", bytes(*own)), ("target", bytes(*own))]);
    encode([
        ("t", bytes(*b"evil")),
        ("y", bytes(*b"q")),
        ("q", bytes(*b"find_node")),
        ("a", Value::Dict(arguments)),
    ])
}

fn encode<const N: usize>(entries: [(&str, Value); N]) -> Option<Vec<u8>> {
    serde_bencode::to_bytes(&Value::Dict(dictionary(entries))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_and_answered() {
        let query = Query::read(&find_node(&[b'x'; 20]).expect("a datagram")).expect("a question");
        assert_eq!(query.method, b"find_node");
        assert_eq!(query.target.as_deref(), Some(&[b'x'; 20][..]));
        let answer = query.answer(dictionary([("id", bytes(*b"y"))]));
        assert_eq!(
            answer.as_deref(),
            Some(&b"d1:rd2:id1:ye1:t4:evil1:y1:re"[..])
        );
        for nothing in [&b""[..], b"d1:y1:re", b"le", b"d1:t1:a1:y1:q1:q4:pinge"] {
            assert_eq!(Query::read(nothing), None);
        }
    }
}
