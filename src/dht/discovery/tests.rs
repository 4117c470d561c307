use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

fn id(n: u16) -> NodeId {
    NodeId::from_bytes(&n.to_be_bytes()).unwrap()
}

fn discovery(shards: u16) -> (Discovery, Rng) {
    let intervals = Intervals {
        sweep_interval: S(60),
        min_sweep_interval: S(2),
        negative_cache_ttl: S(30),
        timeout: S(1_000),
    };
    let limits = Limits::new(900, 4, S(3_600), shards);
    (Discovery::new(limits, intervals), Rng::with_seed(1))
}

fn sweep(shard: u16) -> Query {
    Query::Sweep(ShardPath::root(shard))
}

fn all(discovery: &mut Discovery, now: Duration, random: &mut Rng) -> Vec<Query> {
    std::iter::from_fn(|| discovery.next(0, now, random, || None)).collect()
}

#[test]
fn each_shard_is_swept_once_at_a_time_in_random_order() {
    let (mut discovery, mut random) = discovery(16);
    let swept = all(&mut discovery, S(0), &mut random);
    let mut sorted = swept.clone();
    sorted.sort_by_key(|query| match query {
        Query::Sweep(path) => path.shard(),
        Query::Lookup { .. } => u16::MAX,
    });
    assert_eq!(sorted, (0..16).map(sweep).collect::<Vec<_>>());
    assert_ne!(swept, sorted);
    discovery.sweep_soon(S(500));
    assert_eq!(all(&mut discovery, S(500), &mut random), []);
}

#[test]
fn a_miss_makes_shards_due_except_those_swept_just_before() {
    let (mut discovery, mut random) = discovery(1);
    let sweep = sweep(0);
    let complete = QueryOutcome::Complete { found: true };
    assert_eq!(discovery.next(0, S(0), &mut random, || None), Some(sweep));
    discovery.query_finished(&sweep, complete.into(), S(0), &mut random);
    assert_eq!(discovery.next(0, S(10), &mut random, || None), None);
    discovery.sweep_soon(S(1));
    assert_eq!(discovery.next(0, S(1), &mut random, || None), None);
    assert_eq!(discovery.next(0, S(2), &mut random, || None), Some(sweep));
    discovery.query_finished(&sweep, complete.into(), S(2), &mut random);
    assert_eq!(discovery.next(0, S(62), &mut random, || None), Some(sweep));
}

#[test]
fn a_sweep_that_reached_no_node_is_repeated_soon() {
    let (mut discovery, mut random) = discovery(1);
    let sweep = sweep(0);
    for outcome in [QueryOutcome::Failed, QueryOutcome::Partial { found: false }] {
        assert_eq!(discovery.next(0, S(100), &mut random, || None), Some(sweep));
        discovery.query_finished(&sweep, outcome.into(), S(98), &mut random);
    }
    assert_eq!(discovery.next(0, S(100), &mut random, || None), Some(sweep));
    discovery.query_finished(&sweep, QueryOutcome::Unsupported.into(), S(98), &mut random);
    assert_eq!(discovery.next(0, S(1_000_000), &mut random, || None), None);
}

#[test]
fn a_sweep_that_never_ends_times_out() {
    let (mut discovery, mut random) = discovery(1);
    let sweep = sweep(0);
    assert_eq!(discovery.next(0, S(0), &mut random, || None), Some(sweep));
    assert_eq!(discovery.next(0, S(999), &mut random, || None), None);
    assert_eq!(
        discovery.next(0, S(1_000), &mut random, || None),
        Some(sweep)
    );
    assert_eq!(discovery.next(0, S(1_001), &mut random, || None), None);
}

#[test]
fn a_relay_is_looked_up_once_at_a_time() {
    let (mut discovery, mut random) = discovery(0);
    assert!(discovery.request(id(1), false, S(0)) && discovery.request(id(1), true, S(0)));
    let lookup = Query::Lookup {
        node: id(1),
        stop_at_first: true,
    };
    assert_eq!(all(&mut discovery, S(0), &mut random), [lookup]);
    assert!(discovery.request(id(1), false, S(0)));
    assert_eq!(all(&mut discovery, S(0), &mut random), []);
}

#[test]
fn only_a_complete_answer_shows_that_a_relay_has_no_record() {
    let (mut discovery, mut random) = discovery(0);
    for (outcome, absent) in [
        (QueryOutcome::Failed, false),
        (QueryOutcome::Partial { found: false }, false),
        (QueryOutcome::Complete { found: true }, false),
        (QueryOutcome::Complete { found: false }, true),
    ] {
        assert!(discovery.request(id(1), false, S(0)), "before {outcome:?}");
        let lookup = discovery.next(0, S(0), &mut random, || None).unwrap();
        discovery.query_finished(&lookup, outcome.into(), S(0), &mut random);
        assert_eq!(discovery.absent(), usize::from(absent), "{outcome:?}");
    }
    assert!(!discovery.request(id(1), true, S(29)));
    assert!(discovery.request(id(1), true, S(30)));
}

#[test]
fn a_change_is_followed_also_by_relays_of_a_negative_cache() {
    let (mut discovery, mut random) = discovery(0);
    let lookup = Query::Lookup {
        node: id(1),
        stop_at_first: false,
    };
    let absent = QueryOutcome::Complete { found: false };
    for outcome in [absent, QueryOutcome::Unchanged] {
        assert!(discovery.request(id(1), false, S(0)));
        assert_eq!(all(&mut discovery, S(0), &mut random), [lookup]);
        discovery.query_finished(&lookup, outcome.into(), S(0), &mut random);
        assert!(!discovery.request(id(1), false, S(1)));
        discovery.changed(id(1), S(1));
        assert_eq!(all(&mut discovery, S(1), &mut random), [lookup]);
        let found = QueryOutcome::Complete { found: true };
        discovery.query_finished(&lookup, found.into(), S(1), &mut random);
    }
}

/// The nodes that answered may have done so before.
#[test]
fn a_record_that_changes_while_it_is_looked_up_is_looked_up_again() {
    let (mut discovery, mut random) = discovery(0);
    let lookup = Query::Lookup {
        node: id(1),
        stop_at_first: false,
    };
    // Once, if the lookup had not begun.
    discovery.changed(id(1), S(0));
    discovery.changed(id(1), S(0));
    assert_eq!(all(&mut discovery, S(0), &mut random), [lookup]);
    discovery.changed(id(1), S(0));
    assert_eq!(all(&mut discovery, S(0), &mut random), []);
    let absent = QueryOutcome::Complete { found: false };
    discovery.query_finished(&lookup, absent.into(), S(0), &mut random);
    assert_eq!(all(&mut discovery, S(0), &mut random), [lookup]);
    discovery.query_finished(&lookup, absent.into(), S(0), &mut random);
    assert_eq!(all(&mut discovery, S(0), &mut random), []);
    assert_eq!(discovery.absent(), 1);
}

#[test]
fn too_many_changes_make_the_shards_due_instead() {
    let (mut discovery, mut random) = discovery(1);
    assert_eq!(all(&mut discovery, S(0), &mut random), [sweep(0)]);
    let complete = QueryOutcome::Complete { found: true };
    discovery.query_finished(&sweep(0), complete.into(), S(0), &mut random);
    (0..=MAX_CHANGES).for_each(|n| discovery.changed(id(n as u16), S(10)));
    let queries = all(&mut discovery, S(10), &mut random);
    assert_eq!(queries.len(), MAX_CHANGES as usize + 1);
    assert!(queries.contains(&sweep(0)));
    discovery.changed(id(9_999), S(11));
    assert_eq!(all(&mut discovery, S(11), &mut random), []);
    discovery.changed(id(9_999), S(12));
    assert_eq!(all(&mut discovery, S(12), &mut random).len(), 1);
}

/// Anyone who may write to a server can name changes without end.
#[test]
fn made_up_changes_do_not_keep_the_directory_from_being_read() {
    let (mut discovery, mut random) = discovery(1);
    let mut sweeps = 0;
    for second in 0..600 {
        (0..128).for_each(|n| discovery.changed(id(n), S(second)));
        // The engine answers so many requests a second.
        for _ in 0..40 {
            let query = discovery.next(0, S(second), &mut random, || None);
            let query = query.expect("there is something to do");
            sweeps += u32::from(matches!(query, Query::Sweep(_)));
            let found = QueryOutcome::Complete { found: true };
            discovery.query_finished(&query, found.into(), S(second), &mut random);
        }
    }
    assert!(sweeps >= 9, "{sweeps} sweeps in 10 minutes");
}

#[test]
fn a_directory_that_lists_many_relays_does_not_fill_the_memory() {
    let (mut discovery, mut random) = discovery(0);
    let taken = (0..u16::MAX).filter(|&n| discovery.request(id(n), false, S(0)));
    assert_eq!(taken.count(), MAX_LOOKUPS);
    assert_eq!(discovery.lookups(), MAX_LOOKUPS);
    for query in all(&mut discovery, S(0), &mut random) {
        discovery.query_finished(&query, QueryOutcome::Failed.into(), S(0), &mut random);
    }
    assert_eq!(discovery.lookups(), 0);
}
