//! Explanations of what few relays have, and of calls with options.

use crate::common::*;
use relay_registry::{FindOptions, RegisterOptions};

/// The columns of tier, cost and labels.
#[test]
fn what_few_relays_have_is_shown_where_any_has_it() {
    let columns = |world: &World| -> Vec<String> {
        let text = world.explain(&non_relay(), &FindOptions::new()).to_string();
        let titles = text.lines().nth(2).expect("titles");
        let words = titles.split_whitespace();
        let extra = words.filter(|title| ["labels", "tier", "cost"].contains(title));
        extra.map(str::to_owned).collect()
    };
    let world = world();
    world.join(1);
    world.join(2);
    assert_eq!(columns(&world), [""; 0]);
    world.set_tier(&id(1), 3).unwrap();
    assert_eq!(columns(&world), ["tier"]);
    world.set_cost(&id(2), 0.25).unwrap();
    assert_eq!(columns(&world), ["tier", "cost"]);
    assert!(world.lift(&id(1)) && world.lift(&id(2)));
    world.leave(2);
    world.join_with(2, &RegisterOptions::new().labels(["eu", "udp"]));
    assert_eq!(columns(&world), ["labels"]);
    let explanation = world.explain(&non_relay(), &FindOptions::new());
    let explained = explanation.of(&id(2)).expect("held");
    assert!(explained.labels().eq(["eu", "udp"]));
    assert_eq!((explained.tier, explained.cost), (0, 1.0));
    assert!(explained.to_string().contains("  eu, udp  "));
    let other = explanation.of(&id(1)).expect("held");
    assert_eq!(other.labels().len(), 0);
}

#[test]
fn tier_and_cost_are_those_that_count() {
    let world = world();
    world.join_with(1, &RegisterOptions::new().tier(1).cost(2.0));
    world.join_with(2, &RegisterOptions::new().tier(2));
    world.set_cost(&id(1), 4.0).unwrap();
    let explanation = world.explain(&non_relay(), &FindOptions::new());
    let explained = explanation.of(&id(1)).expect("held");
    assert_eq!((explained.tier, explained.cost), (1, 4.0));
    assert_eq!(explained.penalty, 4.0, "the cost is part of the penalty");
    assert_eq!(explained.score_ms(), 800.0);
}

#[test]
fn relays_of_lower_tiers_come_first_among_equals() {
    let world = world();
    for (n, tier) in [(1, 0), (2, 2), (3, 1), (4, 1)] {
        world.join_with(n, &RegisterOptions::new().tier(tier));
    }
    world.report(4, 80);
    let explanation = world.explain(&non_relay(), &FindOptions::new().max_results(1));
    let order = explanation.relays().iter();
    let order: Vec<u32> = order.map(|explained| number(explained.relay)).collect();
    assert_eq!(order, [1, 3, 4, 2]);
}

#[test]
fn it_says_what_the_call_asked_for() {
    let world = world();
    world.join_with(1, &capacity(2));
    let summary = |options: &FindOptions| -> Vec<String> {
        let text = world.explain(&non_relay(), options).to_string();
        text.lines().take(2).map(str::to_owned).collect()
    };
    let [first, legend] = &summary(&FindOptions::new())[..] else {
        panic!("a summary and a legend");
    };
    assert!(first.ends_with(": 1 relay, 1 eligible"), "{first}");
    assert!(legend.starts_with("a leg: "), "{legend}");
    let options = FindOptions::new().units(3).avoid(["metered"]);
    assert_eq!(
        summary(&options)[1],
        "asked for: 3 units; without label \"metered\""
    );
    let explanation = world.explain(&non_relay(), &options);
    assert_eq!(explanation.options(), &options);
    let text = explanation.to_string();
    assert!(
        text.contains("; full: fewer than 3 units are free\n"),
        "{text}"
    );
}
