//! What follows from the figures of all rules, in words.

use crate::measures::{self, Measured};
use crate::simulation::Rule;

/// Paths that differ by less than this share are called equal.
const EQUAL_PATHS: f64 = 0.02;
/// Shares of time that differ by less than this are called equal.
const EQUAL_SHARES: f64 = 0.001;

/// One line of text. `of_rules` has one entry for each rule.
pub fn conclusion(of_rules: &[(Rule, Measured)]) -> String {
    let figure = |rule, name| {
        let of_rule = of_rules.iter().find(|(it, _)| *it == rule);
        of_rule.map_or(f64::NAN, |(_, measured)| measures::value(measured, name))
    };
    let path = |rule| figure(rule, "stretch_p90");
    let saturated = |rule| figure(rule, "saturated_share");
    if path(Rule::Registry).is_nan() {
        return "No session had a measured path, so nothing follows about the rules.".to_owned();
    }
    let sentences = [
        Some(paths(path, saturated)),
        Some(saturation(path, saturated)),
        failures(|rule| figure(rule, "failed_share")),
        Some(oracle(path)),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().collect();
    sentences.join(" ")
}

/// Compares the paths with those of the best other rule.
fn paths(path: impl Fn(Rule) -> f64, saturated: impl Fn(Rule) -> f64) -> String {
    let rival = least(&path);
    let (own, other, name) = (path(Rule::Registry), path(rival), rival.name());
    let figures = format!(
        "nine of ten sessions take at most {own:.2} times the shortest path, with {name} {other:.2} times"
    );
    if (own - other).abs() <= other * EQUAL_PATHS {
        format!("The registry's paths are as short as those of {name}: {figures}.")
    } else if own < other {
        format!(
            "The registry has the shortest paths of the rules without full knowledge: {figures}."
        )
    } else {
        let (almost_full, of_own) = (saturated(rival), saturated(Rule::Registry));
        let but = if almost_full > of_own { "But" } else { "And" };
        format!(
            "The registry's paths are longer than those of {name}: {figures}. {but} with {name} relays are at \
             95 % of their capacity or more for {} of the time, with the registry for {}.",
            percent(almost_full),
            percent(of_own),
        )
    }
}

/// Compares the time at 95 % of capacity with that of the best other rule.
fn saturation(path: impl Fn(Rule) -> f64, saturated: impl Fn(Rule) -> f64) -> String {
    let rival = least(&saturated);
    let (own, other, name) = (saturated(Rule::Registry), saturated(rival), rival.name());
    let figures = format!(
        "{} of the time, with {name} {}",
        percent(own),
        percent(other)
    );
    if (own - other).abs() <= EQUAL_SHARES {
        format!("The registry fills relays to 95 % about as seldom as {name}: {figures}.")
    } else if own < other {
        format!("The registry fills relays to 95 % least: {figures}.")
    } else {
        format!(
            "The registry fills relays to 95 % more often than {name}: {figures}, whose paths are up to {:.2} times the \
             shortest.",
            path(rival)
        )
    }
}

/// Nothing if no rule left a request without a relay that had room.
fn failures(failed: impl Fn(Rule) -> f64) -> Option<String> {
    let own = failed(Rule::Registry);
    let rival = least(&failed);
    let is_worth_a_word = own > EQUAL_SHARES || OTHERS.iter().any(|&it| failed(it) > EQUAL_SHARES);
    is_worth_a_word.then(|| {
        format!(
            "{} of its requests found no relay although one had room, with {} {}.",
            percent(own),
            rival.name(),
            percent(failed(rival)),
        )
    })
}

fn oracle(path: impl Fn(Rule) -> f64) -> String {
    let (own, best) = (path(Rule::Registry), path(Rule::Oracle));
    if own <= best * (1.0 + EQUAL_PATHS) {
        format!(
            "The oracle, which knows all round trips and loads, does no better: {best:.2} times."
        )
    } else {
        format!(
            "The oracle, which knows all round trips and loads, needs at most {best:.2} times: the \
             difference is what the registry does not know."
        )
    }
}

/// The rules that the registry is compared with: the oracle cannot be had.
const OTHERS: [Rule; 3] = [Rule::Random, Rule::Nearest, Rule::PowerOfTwo];

fn least(value: impl Fn(Rule) -> f64) -> Rule {
    let order = |one: &Rule, other: &Rule| value(*one).total_cmp(&value(*other));
    OTHERS.into_iter().min_by(order).unwrap_or(Rule::Random)
}

pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        _ if percent.is_nan() => "none".to_owned(),
        0.0 => "0 %".to_owned(),
        _ if percent < 0.1 => "under 0.1 %".to_owned(),
        _ if percent < 10.0 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paths, saturated shares and failed shares, in the order of the rules.
    fn of(paths: [f64; 5], saturated: [f64; 5], failed: [f64; 5]) -> String {
        let rules = Rule::ALL.into_iter().enumerate();
        let of_rules: Vec<_> = rules
            .map(|(at, rule)| (rule, [1.0, paths[at], saturated[at], 1.0, failed[at]]))
            .collect();
        conclusion(&of_rules)
    }

    #[test]
    fn it_says_where_the_registry_wins() {
        let text = of(
            [1.5, 5.0, 2.6, 5.1, 1.2],
            [0.04, 0.6, 0.7, 0.25, 0.07],
            [0.0; 5],
        );
        assert!(
            text.contains("shortest paths of the rules without full"),
            "{text}"
        );
        assert!(
            text.contains("1.50 times the shortest path, with nearest 2.60"),
            "{text}"
        );
        assert!(
            text.contains("to 95 % least: 4.0 % of the time, with p2c 25 %"),
            "{text}"
        );
        assert!(text.contains("needs at most 1.20 times"), "{text}");
        assert!(
            !text.contains("found no relay") && !text.contains('\n'),
            "{text}"
        );
    }

    #[test]
    fn it_says_where_the_registry_loses() {
        let text = of(
            [2.9, 5.0, 2.6, 5.1, 1.2],
            [0.04, 0.6, 0.7, 0.01, 0.07],
            [0.01, 0.0, 0.2, 0.0, 0.0],
        );
        assert!(text.contains("longer than those of nearest"), "{text}");
        assert!(text.contains("But with nearest relays are at"), "{text}");
        assert!(
            text.contains("more often than p2c: 4.0 % of the time, with p2c 1.0 %"),
            "{text}"
        );
        assert!(
            text.contains("1.0 % of its requests found no relay"),
            "{text}"
        );
    }

    #[test]
    fn it_says_where_there_is_no_difference() {
        let text = of([2.0, 2.5, 2.01, 2.5, 1.99], [0.0; 5], [0.0; 5]);
        assert!(text.contains("as short as those of nearest"), "{text}");
        assert!(text.contains("about as seldom as"), "{text}");
        assert!(text.contains("does no better"), "{text}");
        let nothing = of([f64::NAN; 5], [0.0; 5], [0.0; 5]);
        assert!(nothing.contains("nothing follows"), "{nothing}");
    }

    #[test]
    fn shares_are_short() {
        let shown = [0.0, 0.0004, 0.0049, 0.256, 1.0].map(percent);
        assert_eq!(shown, ["0 %", "under 0.1 %", "0.5 %", "26 %", "100 %"]);
    }
}
