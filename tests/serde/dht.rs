//! What a DHT says.

use crate::assert_is;
use relay_registry::dht::{DhtStats, OfferOutcome, RejectReason};
use serde_json::json;

#[test]
fn what_became_of_a_record_is_its_name() {
    assert_is(OfferOutcome::Candidate, json!("candidate"));
    assert_is(OfferOutcome::Renewed, json!("renewed"));
    assert_is(OfferOutcome::Known, json!("known"));
    assert_is(OfferOutcome::Withdrawn, json!("withdrawn"));
    let names = [
        "invalid",
        "wrong-node",
        "own",
        "not-allowed",
        "private-address",
        "name",
        "not-reachable",
        "replayed",
        "withdrawn",
        "expired",
        "from-the-future",
        "conflict",
        "forgotten",
        "held-locally",
        "too-many-of-prefix",
        "too-often",
        "failed-probes",
        "full",
        "not-learning",
    ];
    assert_eq!(names.len(), RejectReason::ALL.len());
    for (reason, name) in RejectReason::ALL.into_iter().zip(names) {
        assert_is(reason, json!(name));
    }
}

#[test]
fn statistics_count_refusals_by_name() {
    let json = serde_json::to_value(DhtStats::default()).unwrap();
    assert_eq!(
        (&json["puts"], &json["publishes"]),
        (&json!(0), &json!(false))
    );
    let refused = json["refused"].as_object().unwrap();
    assert_eq!(refused.len(), RejectReason::ALL.len());
    assert_eq!(refused["too-many-of-prefix"], json!(0));
}
