//! What [`FindOptions`] ask for, in words, for people who read an explanation.

use super::{FindOptions, Preference};
use std::fmt;

impl FindOptions {
    /// What they ask for beyond the defaults, each in a few words.
    ///
    /// The options are taken apart without `..`, so that none is forgotten.
    pub(crate) fn asked(&self) -> Vec<String> {
        let Self {
            max_results,
            exclude,
            max_latency,
            allow_unmeasured,
            requester,
            requester_view,
            target_view,
            preference,
            max_spread_cost,
            filter,
            exclude_domains,
            // It follows from the two above.
            is_filtered: _,
            units,
        } = self;
        let default = Self::new();
        let or_unmeasured = match allow_unmeasured {
            true => " or unmeasured",
            false => "",
        };
        let filter = filter.as_deref();
        let required = filter.map(|it| it.required()).unwrap_or_default();
        let avoided = filter.map(|it| it.avoided()).unwrap_or_default();
        let family = filter.and_then(|it| it.family());
        let results = *max_results != default.max_results;
        let spread = *max_spread_cost != default.max_spread_cost;
        let asked = [
            results.then(|| format!("at most {}", counted(*max_results, "result"))),
            requester.map(|peer| format!("requester {peer}")),
            requester_view.map(|_| "the view of the requester is given".to_owned()),
            target_view.map(|_| "the view of the target is given".to_owned()),
            (units.get() > 1).then(|| format!("{units} units")),
            listed("label", required.iter().map(|label| &*label.name)),
            listed("without label", avoided.iter().map(|label| &*label.name)),
            family.map(|family| format!("over {family}")),
            listed(
                "not in failure domain",
                exclude_domains.iter().map(|name| &**name),
            ),
            (!exclude.is_empty()).then(|| format!("{} excluded", counted(exclude.len(), "relay"))),
            max_latency.map(|rtt| format!("within {rtt:?}{or_unmeasured}")),
            preference.map(|preference| preference.to_string()),
            spread.then(|| format!("standbys at most {} longer", percent(*max_spread_cost))),
        ];
        asked.into_iter().flatten().collect()
    }
}

impl fmt::Display for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            relay,
            least_gain,
            least_share,
        } = self;
        let share = percent(*least_share);
        write!(f, "{relay} unless {least_gain:?} and {share} are gained")
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", plural(count))
}

pub(crate) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Names that the caller gave, quoted, so that none confuses a terminal; `None` if there are
/// none.
fn listed<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
    let plural = plural(names.len());
    (!names.is_empty()).then(|| format!("{what}{plural} {}", names.join(", ")))
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;
    use crate::relay::{IpFamily, NodeId};
    use crate::select::PeerView;
    use std::time::Duration;

    #[test]
    fn defaults_ask_for_nothing() {
        assert_eq!(FindOptions::new().asked(), [""; 0]);
        // Without a maximum, that has no effect.
        assert_eq!(FindOptions::new().allow_unmeasured(true).asked(), [""; 0]);
    }

    #[test]
    fn each_option_is_said() {
        let [a, b] = [7, 8].map(|n| NodeId::from_bytes(&[n]).unwrap());
        let new = FindOptions::new;
        let ms = Duration::from_millis;
        for (options, says) in [
            (new().max_results(1), "at most 1 result"),
            (new().max_results(5), "at most 5 results"),
            (new().requester(a), "requester 07"),
            (
                new().requester_view(PeerView::new()),
                "the view of the requester is given",
            ),
            (
                new().target_view(PeerView::new()),
                "the view of the target is given",
            ),
            (new().units(4), "4 units"),
            (new().require(["udp"]), "label \"udp\""),
            (new().require(["udp", "eu"]), "labels \"eu\", \"udp\""),
            (new().avoid(["a\u{1b}[2J"]), "without label \"a\\u{1b}[2J\""),
            (new().family(IpFamily::V6), "over IPv6"),
            (
                new().exclude_domains(["rack-7"]),
                "not in failure domain \"rack-7\"",
            ),
            (new().exclude([a, b]), "2 relays excluded"),
            (new().max_latency(ms(80)), "within 80ms"),
            (
                new().max_latency(ms(80)).allow_unmeasured(true),
                "within 80ms or unmeasured",
            ),
            (new().prefer(a), "07 unless 10ms and 33 % are gained"),
            (
                new().prefer(a).prefer_with(ms(5), 0.1),
                "07 unless 5ms and 10 % are gained",
            ),
            (new().max_spread_cost(0.3), "standbys at most 30 % longer"),
        ] {
            assert_eq!(options.asked(), [says]);
        }
    }
}
