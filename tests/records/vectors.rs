//! The test vectors of the format's description, read from the very text that
//! is published.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer, SigningKey};
use relay_registry::dht::{Network, RelayRecord, SignedRecord};

use crate::samples::{self, HEADER, SEED, decode_value, hex, key, to_hex};

const FORMAT: &str = include_str!("../../src/dht/record/format.md");

/// A vector: what its lines say, by what stands before the colon.
type Vector = BTreeMap<&'static str, String>;

/// The contents of the blocks that this fence opens.
fn blocks(fence: &'static str) -> impl Iterator<Item = &'static str> {
    FORMAT.match_indices(fence).map(|(at, fence)| {
        let block = &FORMAT[at + fence.len()..];
        &block[..block.find("```").expect("the block is closed")]
    })
}

/// Lines that start with a blank continue the one before.
fn vectors() -> Vec<Vector> {
    let parse = |block: &'static str| {
        let mut vector = Vector::new();
        let mut last = "";
        for line in block.lines() {
            if let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with(' ')) {
                last = name;
                vector.insert(name, value.trim().to_owned());
            } else {
                vector.get_mut(last).unwrap().push_str(line.trim());
            }
        }
        vector
    };
    blocks("```vector\n").map(parse).collect()
}

fn record(vector: &Vector) -> Option<RelayRecord> {
    match vector["name"].as_str() {
        "announcement" => Some(samples::minimal()),
        "everything" => Some(samples::complete()),
        "contact" => Some(samples::contact()),
        "name" => Some(samples::named()),
        "withdrawal" => Some(samples::withdrawal()),
        // This version cannot write it.
        "later" => None,
        other => panic!("what is {other}?"),
    }
}

#[test]
fn there_is_a_vector_of_each_kind() {
    let names: Vec<_> = vectors().iter().map(|v| v["name"].clone()).collect();
    let all = [
        "announcement",
        "everything",
        "name",
        "withdrawal",
        "later",
        "contact",
    ];
    assert_eq!(names, all);
}

#[test]
fn the_seed_is_the_one_that_is_published() {
    assert!(FORMAT.contains(&format!("`{}`", to_hex(&SEED))));
}

#[test]
fn vectors_follow_the_description() {
    for vector in vectors() {
        let network = &vector["network"];
        let value = hex(&vector["value"]);
        let salt = format!("relay-registry/1/{network}");
        let signable = [
            format!("4:salt{}:{salt}", salt.len()).as_bytes(),
            format!("3:seqi{}e1:v{}:", vector["sequence"], value.len()).as_bytes(),
            &value,
        ]
        .concat();
        assert_eq!(to_hex(&signable), vector["signable"]);

        let key = SigningKey::from_bytes(&SEED);
        let signature = key.sign(&signable).to_bytes();
        let sequence: u64 = vector["sequence"].parse().unwrap();
        let record = [
            &[1],
            key.verifying_key().as_bytes().as_slice(),
            &sequence.to_be_bytes(),
            &signature,
            &value,
        ]
        .concat();
        assert_eq!(to_hex(&record), vector["record"], "{}", vector["name"]);
    }
}

#[test]
fn vectors_are_what_the_crate_reads_and_writes() {
    for vector in vectors() {
        let network = Network::new(vector["network"].as_bytes()).unwrap();
        let bytes = hex(&vector["record"]);
        let read = SignedRecord::decode(&bytes, &network).unwrap();
        assert_eq!(read.encode(), bytes);
        assert_eq!(read.value(), &bytes[HEADER..]);
        assert_eq!(read.node_id(), key().node_id());
        assert_eq!(read.sequence().to_string(), vector["sequence"]);

        if let Some(record) = record(&vector) {
            assert_eq!(read.record(), &record, "{}", vector["name"]);
            let written = SignedRecord::sign(&record, &key(), &network).unwrap();
            assert_eq!(written, read);
            assert_eq!(written.encode(), bytes);
        }
    }
}

#[test]
fn what_the_description_calls_refused_is_refused_for_the_reason_it_gives() {
    let block = blocks("```refused\n").next().unwrap();
    assert!(block.lines().count() >= 20);
    for line in block.lines() {
        let (value, reason) = line.split_once("  ").unwrap();
        let refused = decode_value(&hex(value)).unwrap_err();
        assert_eq!(refused.to_string(), reason, "{value}");
    }
}
