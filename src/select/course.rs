//! Which orders a search follows, and what their lengths say of the paths.

use crate::select::criteria::Criteria;
use crate::select::districts::LocatedOrder;
use crate::select::legs::{View, Views};
use crate::select::order::{Entry, Order};
use crate::select::snapshot::Base;
use crate::select::survey::Survey;

/// An order to follow.
#[derive(Clone, Copy)]
pub(crate) struct Course<'a> {
    pub(crate) order: &'a Order,
    /// What the paths through the first relays are estimated from, if anything.
    pub(crate) head: &'a [Survey],
    /// What a path has at the least beyond the length that it was sorted by.
    beyond_micros: i64,
}

impl<'a> Course<'a> {
    /// An order that was made for a place near the peer.
    fn around(located: &'a LocatedOrder, lead_micros: i64) -> Self {
        Self {
            order: &located.order,
            head: std::slice::from_ref(&located.head),
            beyond_micros: lead_micros,
        }
    }

    /// The least score of any relay from this entry on.
    #[inline]
    pub(crate) fn least_score(&self, entry: &Entry) -> f32 {
        self.least_score_from(entry.micros)
    }

    /// The least score of any relay that is as far as this in the order.
    #[inline]
    pub(crate) fn least_score_from(&self, micros: u32) -> f32 {
        // Without load, a score is the path; as one, this may be below zero.
        (i64::from(micros) + self.beyond_micros) as f32
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
            head: &self.head,
            beyond_micros,
        }
    }

    /// What no leg that a view does not publish is shorter than.
    fn least_leg(&self, view: Option<&View>, assumed: u32) -> u32 {
        let estimate = view.and_then(View::least_estimate);
        match estimate {
            Some(estimate) if !self.positions.is_empty() => estimate.min(assumed),
            _ => assumed,
        }
    }

    /// The best relays for where the peers are, if that has been prepared.
    pub(crate) fn detours(&self, views: &Views<'_>) -> [Option<Course<'_>>; 2] {
        let around = |view: Option<&View>| self.districts.around(view?.whereabouts()?);
        match (views.requester(), views.target()) {
            (None, target) => [
                around(target).map(|(orders, lead)| Course::around(&orders.by_path, lead)),
                None,
            ],
            (requester, target) => [requester, target].map(|view| {
                around(view).map(|(orders, lead)| Course::around(&orders.by_leg, lead))
            }),
        }
    }
}
