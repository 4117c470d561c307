//! What a find that failed says about the relays: how many are not eligible for which reason.

use super::question::Reason;
use super::relay::{Relay, State};
use super::scene::Scene;
use relay_registry::Rejections;

/// Departed relays are apart: they are counted until the next merge.
const REASONS: [Reason; 9] = [
    Reason::Excluded,
    Reason::Banned,
    Reason::BackingOff,
    Reason::Draining,
    Reason::Full,
    Reason::Labels,
    Reason::Family,
    Reason::TooFar,
    Reason::Unmeasured,
];

impl Scene {
    /// The counts are exact among few relays. But one that has lapsed counts for another reason until this is
    /// noticed.
    #[track_caller]
    pub fn check_rejections(&self) {
        if self.eligible().next().is_some() {
            return;
        }
        let rejections = self.world.rejections(&self.options());
        let lapsed = self.count_where(|relay| relay.state == State::Lapsed);
        for reason in REASONS {
            let (least, counted) = (self.count_of(reason), count(&rejections, reason));
            let is_right = (least..=least + lapsed).contains(&counted);
            let question = &self.question;
            assert!(is_right, "{least} {reason:?}: {rejections:?}, {question:?}");
        }
        let (total, departed) = (rejections.total(), rejections.departed);
        assert!(departed <= self.departures, "{rejections:?}");
        let held = self.relays.len() - self.count_of(Reason::Departed);
        let is_right = (held..=held + lapsed).contains(&(total - departed));
        assert!(is_right, "{held}: {rejections:?}");
    }

    fn count_of(&self, reason: Reason) -> usize {
        self.count_where(|relay| self.question.rejection(relay) == Some(reason))
    }

    fn count_where(&self, holds: impl Fn(&Relay) -> bool) -> usize {
        self.all().filter(|(_, relay)| holds(relay)).count()
    }
}

fn count(rejections: &Rejections, reason: Reason) -> usize {
    match reason {
        Reason::Departed => rejections.departed,
        Reason::Excluded => rejections.excluded,
        Reason::Banned => rejections.banned,
        Reason::BackingOff => rejections.backing_off,
        Reason::Draining => rejections.draining,
        Reason::Full => rejections.full,
        Reason::Labels => rejections.labels,
        Reason::Family => rejections.family,
        Reason::TooFar => rejections.too_far,
        Reason::Unmeasured => rejections.unmeasured,
    }
}
