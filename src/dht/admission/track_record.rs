//! The offences of one key, which a withdrawal does not erase.

use std::time::Duration;

/// Updates are counted within windows of this length.
const MINUTE: Duration = Duration::from_secs(60);

/// The offences of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TrackRecord {
    /// When the present minute began, and the updates that were accepted in it.
    updates: (Duration, u32),
    /// Failed probes since the last one that succeeded, at any endpoint.
    pub(super) failures: u32,
}

impl TrackRecord {
    /// No offences.
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            updates: (now, 0),
            failures: 0,
        }
    }

    /// Counts an update; false if there were `max` within the minute.
    pub(super) fn count_update(&mut self, max: u32, now: Duration) -> bool {
        let (since, count) = &mut self.updates;
        if now.saturating_sub(*since) >= MINUTE {
            (*since, *count) = (now, 0);
        }
        let is_accepted = *count < max;
        *count += u32::from(is_accepted);
        is_accepted
    }

    /// When the last offence lapses, if failures lapse at `failures_until`.
    pub(super) fn lapses_at(&self, failures_until: Duration) -> Duration {
        let (since, count) = self.updates;
        let updates_until = since.saturating_add(if count > 0 { MINUTE } else { Duration::ZERO });
        if self.failures > 0 {
            updates_until.max(failures_until)
        } else {
            updates_until
        }
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn updates_are_counted_per_minute() {
        let mut track_record = TrackRecord::new(S(0));
        let accepted = |track_record: &mut TrackRecord, at| track_record.count_update(2, S(at));
        assert!(accepted(&mut track_record, 1) && accepted(&mut track_record, 2));
        assert!(!accepted(&mut track_record, 3) && !accepted(&mut track_record, 59));
        assert!(accepted(&mut track_record, 60));
    }

    #[test]
    fn updates_lapse_after_a_minute_and_failures_when_told() {
        let clean = TrackRecord::new(S(5));
        assert_eq!(clean.lapses_at(S(100)), S(5));
        let mut updated = clean;
        assert!(updated.count_update(9, S(5)));
        assert_eq!(updated.lapses_at(S(100)), S(65));
        let failed = TrackRecord {
            failures: 2,
            ..updated
        };
        assert_eq!(failed.lapses_at(S(100)), S(100));
        assert_eq!(failed.lapses_at(S(10)), S(65));
    }
}
