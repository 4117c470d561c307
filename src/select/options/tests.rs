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
    assert_eq!(options.units.get(), 1);
    assert_eq!(options.units(0).units.get(), 1);
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

/// It would take the trees of a filter that is worth some.
#[test]
fn what_admits_all_relays_is_no_filter() {
    let none = [""; 0];
    let options = FindOptions::new().require(none).avoid(none);
    assert_eq!(options, FindOptions::new().exclude_domains(none));
    assert!(options.is_plain() && options.filter.is_none());
    assert!(!options.clone().require(["udp"]).is_plain());
    let kept = options.require(["udp"]).avoid(none);
    assert!(kept.filter.is_some() && !kept.is_plain());
}
