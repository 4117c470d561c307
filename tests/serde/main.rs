//! The feature `serde`: what each type is as JSON, and that what is read is checked as the
//! constructors check it.

#[path = "../common/mod.rs"]
mod common;

#[cfg(feature = "dht")]
mod dht;
mod errors;
mod known;
mod options;
mod reports;
mod values;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fmt::Debug;

#[track_caller]
fn assert_is<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, expected: Value) {
    assert_eq!(serde_json::to_value(&value).unwrap(), expected);
    let text = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), value, "borrowed");
    assert_eq!(
        serde_json::from_value::<T>(expected).unwrap(),
        value,
        "owned"
    );
}

#[track_caller]
fn refusal<T: DeserializeOwned + Debug>(json: Value) -> String {
    let refused = serde_json::from_value::<T>(json).expect_err("what must not be");
    refused.to_string()
}
