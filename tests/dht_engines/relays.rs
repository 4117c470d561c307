//! A few relays and what they sign.

use relay_registry::dht::{Announcement, Network, RelayRecord, SecretKey, SignedRecord};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const TTL: Duration = Duration::from_secs(3_600);

pub(crate) fn key(relay: u8) -> SecretKey {
    SecretKey::from_seed([relay; 32])
}

/// The statement of this number of a relay: higher ones are later.
pub(crate) fn announced(relay: u8, number: u64) -> SignedRecord {
    let announcement = Announcement::new("192.0.2.7:4433".parse().expect("an endpoint"), 100)
        .expect("it can be announced");
    let issued_at = issued(number);
    let record = RelayRecord::announce(announcement, sequence(number), issued_at, TTL)
        .expect("it is a record");
    SignedRecord::sign(&record, &key(relay), &Network::default()).expect("it can be signed")
}

pub(crate) fn withdrawn(relay: u8, number: u64) -> SignedRecord {
    SignedRecord::tombstone(
        sequence(number),
        issued(number),
        TTL,
        &key(relay),
        &Network::default(),
    )
    .expect("it can be signed")
}

fn sequence(number: u64) -> u64 {
    u64::try_from(issued(number).as_micros()).expect("it is not that late")
}

/// One moment for the whole run, so that the same statement is the same bytes.
fn issued(number: u64) -> Duration {
    static START: std::sync::OnceLock<Duration> = std::sync::OnceLock::new();
    let start = START.get_or_init(|| {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the clock stands after 1970")
    });
    // To the microsecond, as records count.
    let micros = u64::try_from(start.as_micros()).expect("it is not that late");
    Duration::from_micros(micros + number)
}
