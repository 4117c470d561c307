//! [`FindOptions`]: what a requester asks of a relay.

use std::time::Duration;

use crate::relay::NodeId;

/// What a requester asks of a relay, beyond that it is live, has room, and is
/// neither the target nor this node.
///
/// Options can be made once and used for many calls; making them allocates
/// only when something is [excluded](Self::exclude).
///
/// ```
/// use std::time::Duration;
/// use relay_registry::{FindOptions, NodeId};
///
/// let failed = NodeId::from([7; 32]);
/// let options = FindOptions::new()
///     .exclude([failed])
///     .max_latency(Duration::from_millis(80));
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct FindOptions {
    pub(crate) max_results: usize,
    pub(crate) exclude: Vec<NodeId>,
    pub(crate) max_latency: Option<Duration>,
    pub(crate) allow_unmeasured: bool,
}

impl FindOptions {
    /// At most three results, nothing excluded, any latency.
    pub const fn new() -> Self {
        Self {
            max_results: 3,
            exclude: Vec::new(),
            max_latency: None,
            allow_unmeasured: false,
        }
    }

    /// How many relays `find_relays` answers with at most, by default 3; with
    /// 0, none. Calls that answer with a single relay ignore it.
    pub const fn max_results(mut self, max_results: usize) -> Self {
        self.max_results = max_results;
        self
    }

    /// Relays that must not be handed out, such as those already tried. Each
    /// call adds to the ones before.
    ///
    /// The list is searched from end to end for each relay considered, so keep
    /// it to a few dozen.
    pub fn exclude(mut self, ids: impl IntoIterator<Item = NodeId>) -> Self {
        self.exclude.extend(ids);
        self
    }

    /// The longest round trip to the relay that will do, by default any.
    ///
    /// A relay whose round trip is unknown does not meet it, unless
    /// [`allow_unmeasured`](Self::allow_unmeasured) says so.
    pub const fn max_latency(mut self, rtt: Duration) -> Self {
        self.max_latency = Some(rtt);
        self
    }

    /// Whether a relay whose round trip is unknown meets a
    /// [`max_latency`](Self::max_latency), by default not. Without a
    /// `max_latency` it makes no difference.
    pub const fn allow_unmeasured(mut self, allow: bool) -> Self {
        self.allow_unmeasured = allow;
        self
    }
}

impl Default for FindOptions {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_ask_for_little() {
        let options = FindOptions::default();
        assert_eq!(options, FindOptions::new());
        assert_eq!(options.max_results, 3);
        assert_eq!(options.exclude, []);
        assert_eq!(options.exclude.capacity(), 0);
        assert_eq!(options.max_latency, None);
        assert!(!options.allow_unmeasured);
    }

    #[test]
    fn exclusions_add_up() {
        let [a, b, c] = [1, 2, 3].map(|n| NodeId::from([n; 32]));
        let options = FindOptions::new().exclude([a]).exclude(vec![b, c]);
        assert_eq!(options.exclude, [a, b, c]);
    }

    #[test]
    fn each_setter_sets_its_own_field_and_the_last_call_wins() {
        let options = FindOptions::new()
            .max_results(1)
            .max_results(0)
            .max_latency(Duration::from_millis(80))
            .allow_unmeasured(true);
        assert_eq!(options.max_results, 0);
        assert_eq!(options.max_latency, Some(Duration::from_millis(80)));
        assert!(options.allow_unmeasured);
        assert!(!options.allow_unmeasured(false).allow_unmeasured);
    }
}
