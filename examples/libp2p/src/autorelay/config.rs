//! [`Config`]: how many reservations, and how fast they are made and replaced.

use std::time::Duration;

use libp2p::Multiaddr;
use relay_registry::{FindOptions, RelayInfo};
use thiserror::Error;

use crate::ids::address_of;

/// How [`Behaviour`](super::Behaviour) chooses relays, and when it tries again.
#[derive(Clone, Debug)]
pub struct Config {
    /// How many reservations it keeps: 1 to [`MAX_RESERVATIONS`](Self::MAX_RESERVATIONS). The
    /// first one is the home relay, the others are standbys. Default: 2.
    pub reservations: usize,
    /// What a relay must offer: labels, a family, a maximum round trip. Default: nothing.
    pub options: FindOptions,
    /// By how much time another relay must be nearer, so that the home moves there. Default:
    /// 10 ms, as in [`FindOptions::prefer`].
    pub move_gain: Duration,
    /// By which share of the own leg another relay must be nearer as well, 0 to 1. Default: a
    /// third.
    pub move_share: f64,
    /// How long a relay may take for a reservation, the dial included. A relay that takes longer
    /// counts as failed, and another one is tried. Default: 3 s.
    pub reservation_timeout: Duration,
    /// How often the choice is reviewed while all reservations are held. Default: 30 s.
    pub review_interval: Duration,
    /// The wait before the next look for a relay if none was found, and the first wait after
    /// several failures in a row. It doubles with each further one. Default: 250 ms.
    pub min_retry: Duration,
    /// The longest wait between two attempts. Default: 2 s.
    pub max_retry: Duration,
    /// After which time without an answered ping the connection to a relay is closed. It has
    /// no effect until [`Behaviour::on_ping`](super::Behaviour::on_ping) was told of an answer. It
    /// must be more than the interval and the timeout of pings together. Default: 40 s, for the
    /// defaults of libp2p's pings.
    pub max_silence: Duration,
    /// The address of a relay, with its peer id and without `/p2p-circuit`. `None` if the relay
    /// has none that this node can dial. Default: [`address_of`] its main endpoint.
    pub address: fn(&RelayInfo) -> Option<Multiaddr>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reservations: 2,
            options: FindOptions::new(),
            move_gain: Duration::from_millis(10),
            move_share: 1.0 / 3.0,
            reservation_timeout: Duration::from_secs(3),
            review_interval: Duration::from_secs(30),
            min_retry: Duration::from_millis(250),
            max_retry: Duration::from_secs(2),
            max_silence: Duration::from_secs(40),
            address: |relay| address_of(&relay.node_id(), relay.endpoint()),
        }
    }
}

/// Why a [`Config`] was rejected.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The number of reservations is out of range.
    #[error("{0} reservations are not within 1..={max}", max = Config::MAX_RESERVATIONS)]
    Reservations(usize),
    /// A time that must be above zero is zero.
    #[error("`{0}` is zero, and must be above it")]
    Zero(&'static str),
    /// The shortest wait is above the longest.
    #[error("`min_retry` ({min:?}) is above `max_retry` ({max:?})")]
    RetryOrder {
        /// [`Config::min_retry`].
        min: Duration,
        /// [`Config::max_retry`].
        max: Duration,
    },
    /// The share is no number from 0 to 1.
    #[error("`move_share` is {0}, and must be within 0..=1")]
    MoveShare(f64),
}

impl Config {
    /// The most reservations of one peer: 16. Each costs a relay memory, and a connection.
    pub const MAX_RESERVATIONS: usize = 16;

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if !(1..=Self::MAX_RESERVATIONS).contains(&self.reservations) {
            return Err(ConfigError::Reservations(self.reservations));
        }
        if !(0.0..=1.0).contains(&self.move_share) {
            return Err(ConfigError::MoveShare(self.move_share));
        }
        let times = [
            ("reservation_timeout", self.reservation_timeout),
            ("review_interval", self.review_interval),
            ("min_retry", self.min_retry),
            ("max_silence", self.max_silence),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| time.is_zero()) {
            return Err(ConfigError::Zero(name));
        }
        if self.min_retry > self.max_retry {
            return Err(ConfigError::RetryOrder {
                min: self.min_retry,
                max: self.max_retry,
            });
        }
        Ok(())
    }
}
