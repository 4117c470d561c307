//! Whether records of other relays say that this node's wall clock is wrong.
//!
//! A record has the time at which its relay issued it, by the clock of that relay. One relay may
//! lie, and keys and announced addresses cost nothing. So:
//!
//! - Of each key and each network prefix, one record counts: the last issued of those heard within
//!   [`WINDOW`]. In the prefix of a relay that passed a probe, other keys do not count.
//! - At least [`MIN_PREFIXES`] prefixes must agree.
//! - As soon as so many prefixes are of relays that passed a probe at the announced endpoint, only
//!   these count. Until then, a liar that announces more prefixes than are honest can cause a
//!   false warning. It can cause nothing else.
//! - *The clock is slow* if more than half of those that count were issued ahead of it by more
//!   than a quarter of [`MAX_SKEW`]. The others say nothing against it: a record is heard some time
//!   after it was issued.
//! - *The clock is fast* if all of those that count have expired. Expired records are common, and
//!   anyone may send an old one of another relay again. A single one that is in time shows that
//!   the clock is right, or fast by less than a TTL.

use super::Issue;
use crate::dht::{MAX_SKEW, Prefix};
use crate::relay::NodeId;
use std::time::Duration;

/// How long a record counts, by the registry's clock.
const WINDOW: Duration = Duration::from_secs(10 * 60);

/// So many prefixes must agree.
const MIN_PREFIXES: usize = 3;

/// So many records are remembered of proven relays, and so many of others.
const MAX_HEARD: usize = 64;

/// What the wall clock seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Slow,
    Fast,
}

/// What records say against the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Skew {
    pub(super) direction: Direction,
    /// The prefixes that agree.
    pub(super) agreeing: usize,
    /// All that count.
    pub(super) heard: usize,
    /// The median of how far they are ahead of the clock, or how long ago they expired.
    pub(super) median: Duration,
}

/// The records that count.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    proven: Vec<Heard>,
    others: Vec<Heard>,
}

#[derive(Clone, Debug)]
struct Heard {
    id: NodeId,
    prefix: Prefix,
    issued_at: Duration,
    heard_at: Duration,
    /// Which way and how far it was off, if it was.
    off: Option<(Direction, Duration)>,
}

impl Evidence {
    /// Notes a record that was heard at the registry's time `at` and the wall clock's time
    /// `wall`. If it is off, returns what those that count say together.
    pub(super) fn note(
        &mut self,
        id: &NodeId,
        issue: Issue,
        at: Duration,
        wall: Duration,
    ) -> Option<Skew> {
        let heard = Heard {
            id: *id,
            off: off_by(&issue, wall),
            prefix: issue.prefix,
            issued_at: issue.issued_at,
            heard_at: at,
        };
        let off = heard.off;
        if !self.replace_older(&heard, issue.is_proven) {
            return None;
        }
        let table = match issue.is_proven {
            true => &mut self.proven,
            false => &mut self.others,
        };
        if table.len() >= MAX_HEARD {
            // They are in the order in which they were heard.
            table.remove(0);
        }
        table.push(heard);
        off.and_then(|(direction, _)| self.judge(direction))
    }

    /// Removes what no longer counts beside `new`; false if `new` does not count.
    fn replace_older(&mut self, new: &Heard, is_proven: bool) -> bool {
        let is_recent = |old: &Heard| new.heard_at.saturating_sub(old.heard_at) < WINDOW;
        let is_later = |old: &Heard| old.issued_at > new.issued_at;
        let mut counts = true;
        self.proven.retain(|old| {
            let is_key = old.id == new.id;
            if !is_recent(old) || !(is_key || old.prefix == new.prefix) {
                return is_recent(old);
            }
            // Only its own key takes the place of a relay from one that passed no probe.
            let stays = is_later(old) || !(is_key || is_proven);
            counts &= !stays;
            stays
        });
        self.others.retain(|old| {
            if !is_recent(old) || !(old.id == new.id || old.prefix == new.prefix) {
                return is_recent(old);
            }
            let stays = is_later(old) && !is_proven;
            counts &= !stays;
            stays
        });
        counts
    }

    fn judge(&self, direction: Direction) -> Option<Skew> {
        let others = match self.proven.len() >= MIN_PREFIXES {
            true => &[][..],
            false => &self.others,
        };
        let heard = self.proven.len() + others.len();
        let all = self.proven.iter().chain(others);
        let mut off: Vec<_> = all
            .filter_map(|heard| heard.off)
            .filter_map(|(its, by)| (its == direction).then_some(by))
            .collect();
        off.sort_unstable();
        let agreeing = off.len();
        let is_enough = match direction {
            Direction::Slow => agreeing > heard / 2,
            Direction::Fast => agreeing == heard,
        };
        (agreeing >= MIN_PREFIXES && is_enough).then(|| Skew {
            direction,
            agreeing,
            heard,
            median: off[agreeing / 2],
        })
    }
}

/// Which way and how far a record is off.
fn off_by(issue: &Issue, wall: Duration) -> Option<(Direction, Duration)> {
    let ahead = issue.issued_at.saturating_sub(wall);
    if ahead > MAX_SKEW / 4 {
        return Some((Direction::Slow, ahead));
    }
    let since = wall.checked_sub(issue.expires_at)?;
    Some((Direction::Fast, since))
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;
    const WALL: Duration = Duration::from_secs(1_800_000_000);

    struct Fixture(Evidence, Duration);

    impl Fixture {
        fn new() -> Self {
            Self(Evidence::default(), S(0))
        }

        /// Notes the record of a key and a prefix of these numbers, issued so many seconds after
        /// the time that this node's wall clock shows, with a TTL of 100 s.
        fn note(&mut self, key: u16, prefix: u8, is_proven: bool, ahead: i64) -> Option<Skew> {
            let issued_at = match u64::try_from(ahead) {
                Ok(ahead) => WALL + self.1 + S(ahead),
                Err(_) => WALL + self.1 - S(ahead.unsigned_abs()),
            };
            let issue = Issue {
                prefix: Prefix::of(&format!("5.6.{prefix}.1:1").parse().unwrap()),
                is_proven,
                issued_at,
                expires_at: issued_at + S(100),
            };
            let id = NodeId::from_bytes(&key.to_be_bytes()).unwrap();
            self.0.note(&id, issue, self.1, WALL + self.1)
        }
    }

    fn slow(agreeing: usize, heard: usize, median: u64) -> Option<Skew> {
        Some(Skew {
            direction: Direction::Slow,
            agreeing,
            heard,
            median: S(median),
        })
    }

    #[test]
    fn three_prefixes_that_are_ahead_say_that_the_clock_is_slow() {
        let mut heard = Fixture::new();
        assert_eq!(heard.note(1, 1, false, 76), None);
        assert_eq!(heard.note(2, 2, false, 400), None);
        assert_eq!(heard.note(3, 3, false, 75), None, "by too little");
        assert_eq!(heard.note(4, 4, false, 90), slow(3, 4, 90));
    }

    #[test]
    fn one_key_or_one_prefix_counts_once() {
        let mut heard = Fixture::new();
        for n in 0..20 {
            assert_eq!(heard.note(1, n, false, 200 + i64::from(n)), None);
            assert_eq!(heard.note(100 + u16::from(n), 200, false, 300), None);
        }
    }

    #[test]
    fn a_minority_says_nothing() {
        let mut heard = Fixture::new();
        for n in 1..=3 {
            assert_eq!(heard.note(n, n as u8, false, 0), None);
        }
        for n in 4..=6 {
            assert_eq!(heard.note(n, n as u8, false, 200), None);
        }
        assert_eq!(heard.note(7, 7, false, 200), slow(4, 7, 200));
    }

    #[test]
    fn relays_that_passed_a_probe_outweigh_any_number_of_others() {
        let mut heard = Fixture::new();
        for n in 1..=3 {
            assert_eq!(heard.note(n, n as u8, true, -10), None);
        }
        for n in 4..=200 {
            assert_eq!(heard.note(n, n as u8, false, 200), None);
            let claims_the_prefix_of_another = heard.note(n, 1 + n as u8 % 3, false, 200);
            assert_eq!(claims_the_prefix_of_another, None);
        }
        for n in 1..=3 {
            let expected = if n == 3 { slow(3, 3, 100) } else { None };
            assert_eq!(heard.note(n, n as u8, true, 100), expected);
        }
    }

    #[test]
    fn all_must_have_expired_to_say_that_the_clock_is_fast() {
        let mut heard = Fixture::new();
        heard.note(1, 1, false, 0);
        for n in 2..=9 {
            assert_eq!(heard.note(n, n as u8, false, -500), None);
        }
        // An old record of the first is sent again: it says nothing, as a later one was heard.
        assert_eq!(heard.note(1, 1, false, -500), None);
        assert_eq!(heard.note(2, 2, false, -450), None);
        let mut heard = Fixture::new();
        heard.note(1, 1, false, -600);
        heard.note(2, 2, false, -500);
        let fast = Skew {
            direction: Direction::Fast,
            agreeing: 3,
            heard: 3,
            median: S(400),
        };
        assert_eq!(heard.note(3, 3, false, -300), Some(fast));
    }

    #[test]
    fn what_was_heard_long_ago_says_nothing() {
        let mut heard = Fixture::new();
        heard.note(1, 1, false, 200);
        heard.note(2, 2, false, 200);
        heard.1 = WINDOW;
        assert_eq!(heard.note(3, 3, false, 200), None);
        assert_eq!(heard.note(1, 1, false, 200), None);
        assert_eq!(heard.note(2, 2, false, 200), slow(3, 3, 200));
    }

    #[test]
    fn a_flood_takes_bounded_memory() {
        let mut heard = Fixture::new();
        for n in 0..500 {
            heard.note(n, (n % 250) as u8, n % 2 == 0, 200);
        }
        assert!(heard.0.proven.len() <= MAX_HEARD && heard.0.others.len() <= MAX_HEARD);
    }
}
