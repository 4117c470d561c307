//! Which orders a search follows, and what their lengths say of the paths.

use crate::select::criteria::Criteria;
use crate::select::legs::{View, Views};
use crate::select::order::{Entry, Order};
use crate::select::score::least_score;
use crate::select::snapshot::Base;

/// An order to follow.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    pub(crate) order: &'a Order,
    /// What a path has at the least beyond the length that it was sorted by.
    beyond_micros: i64,
}

impl<'a> Course<'a> {
    /// An order that was made for a place so far from the peer.
    fn around(order: &'a Order, off_micros: u32) -> Self {
        Self {
            order,
            beyond_micros: -i64::from(off_micros),
        }
    }

    /// The least score of any relay from this entry on.
    #[inline]
    pub(crate) fn least_score(&self, entry: &Entry) -> f32 {
        let least = i64::from(entry.micros) + self.beyond_micros;
        least_score(least.max(0) as u32)
    }
}

impl Base {
    /// All relays, by the round trip from this node.
    #[inline]
    pub(crate) fn course(&self, criteria: &Criteria<'_>) -> Course<'_> {
        let assumed = criteria.assumed_rtt_micros;
        let beyond_micros = match criteria.views {
            None => assumed.into(),
            Some(views) if views.requester().is_some() => i64::MIN / 2,
            Some(views) => self.least_leg(views.target(), assumed).into(),
        };
        Course {
            order: &self.order,
            beyond_micros,
        }
    }

    /// What no leg that a view does not publish is shorter than.
    fn least_leg(&self, view: Option<&View>, assumed: u32) -> u32 {
        match view {
            Some(view) if view.whereabouts().is_some() && !self.positions.is_empty() => {
                view.farthest_micros
            }
            _ => assumed,
        }
    }

    /// The best relays for where the peers are, if that has been prepared.
    pub(crate) fn detours(&self, views: &Views<'_>) -> [Option<Course<'_>>; 2] {
        let around = |view: Option<&View>| self.districts.around(view?.whereabouts()?);
        match (views.requester(), views.target()) {
            (None, target) => [
                around(target).map(|(orders, off)| Course::around(&orders.by_path, off)),
                None,
            ],
            (requester, target) => [requester, target]
                .map(|view| around(view).map(|(orders, off)| Course::around(&orders.by_leg, off))),
        }
    }
}
