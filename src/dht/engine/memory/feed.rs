//! [`Feed`]: the relays whose records changed, for handles that watch.

use std::collections::VecDeque;
use std::time::Instant;

use crate::relay::NodeId;
use crate::sync::unmodelled::{Condvar, Mutex};

/// So many changes are kept. A handle that is further behind misses some.
const MAX_CHANGES: usize = 1_024;

/// The latest changes of a network.
#[derive(Debug, Default)]
pub(super) struct Feed {
    state: Mutex<State>,
    appended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    latest: VecDeque<NodeId>,
    /// The number of all changes.
    count: u64,
}

/// What a handle has not read yet.
#[derive(Debug, Default)]
pub(super) struct Unread {
    pub(super) relays: Vec<NodeId>,
    pub(super) has_missed: bool,
}

impl Feed {
    pub(super) fn append(&self, relay: NodeId) {
        let mut state = self.state.lock();
        if state.latest.len() == MAX_CHANGES {
            state.latest.pop_front();
        }
        state.latest.push_back(relay);
        state.count += 1;
        self.appended.notify_all();
    }

    /// Waits for a change after the first `read` ones until the deadline, and notes all as read.
    pub(super) fn wait(&self, read: &mut Option<u64>, deadline: Instant) -> Unread {
        let mut state = self.state.lock();
        let Some(before) = read.replace(state.count) else {
            let (relays, has_missed) = (Vec::new(), true);
            return Unread { relays, has_missed };
        };
        while state.count == before {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.appended.wait_for(&mut state, left).timed_out() {
                break;
            }
        }
        *read = Some(state.count);
        state.after(before)
    }
}

impl State {
    fn after(&self, read: u64) -> Unread {
        let unread = usize::try_from(self.count - read).unwrap_or(usize::MAX);
        let kept = unread.min(self.latest.len());
        Unread {
            relays: self
                .latest
                .range(self.latest.len() - kept..)
                .copied()
                .collect(),
            has_missed: unread > kept,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> NodeId {
        NodeId::from_bytes(&n.to_be_bytes()).expect("a short id is an id")
    }

    fn read(feed: &Feed, read: &mut Option<u64>) -> Unread {
        feed.wait(read, Instant::now())
    }

    #[test]
    fn a_handle_reads_each_change_once_from_its_first_call_on() {
        let (feed, mut at) = (Feed::default(), None);
        feed.append(id(1));
        let unread = read(&feed, &mut at);
        assert!(unread.has_missed && unread.relays.is_empty());
        feed.append(id(2));
        feed.append(id(3));
        for relays in [&[id(2), id(3)][..], &[]] {
            let unread = read(&feed, &mut at);
            assert_eq!((&unread.relays[..], unread.has_missed), (relays, false));
        }
    }

    #[test]
    fn a_handle_that_is_far_behind_missed_changes() {
        let (feed, mut at) = (Feed::default(), Some(0));
        (0..=MAX_CHANGES as u32).for_each(|n| feed.append(id(n)));
        let unread = read(&feed, &mut at);
        assert!(unread.has_missed);
        assert_eq!(unread.relays.len(), MAX_CHANGES);
        assert_eq!(unread.relays[0], id(1));
        assert!(!read(&feed, &mut at).has_missed);
    }
}
