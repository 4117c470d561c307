//! Lengths of time.

use serde::{Deserialize, Deserializer, de};
use std::time::Duration;

/// A number of seconds, above zero or zero, up to a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(Duration);

impl Seconds {
    const MAX: f64 = 86_400.0;

    pub(super) fn new(seconds: f64) -> Self {
        Self(Duration::from_secs_f64(seconds))
    }

    pub fn get(self) -> Duration {
        self.0
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = f64::deserialize(deserializer)?;
        if !(0.0..=Self::MAX).contains(&seconds) {
            let expected = "a number of seconds, 0 to 86400";
            return Err(de::Error::invalid_value(
                de::Unexpected::Float(seconds),
                &expected,
            ));
        }
        Ok(Self::new(seconds))
    }
}
