use super::*;

const S: fn(u64) -> Duration = Duration::from_secs;

const LIFETIME: Duration = Duration::from_secs(3_600);

fn placement(max_depth: u8) -> Placement {
    let limits = Limits::new(900, 4, LIFETIME, 8).dividing(max_depth);
    Placement::new(limits, &NodeId::from([7; 32]))
}

/// The node's shard at this depth.
fn shard(depth: u8) -> ShardPath {
    let limits = Limits::new(900, 4, LIFETIME, 8).dividing(24);
    ShardPath::of(&NodeId::from([7; 32]), &limits, depth).expect("it is not too deep")
}

/// A join of a shard that has so many members, of 40 for which it has room.
fn joined(members: usize) -> Put {
    Put::new(8, 8).with_members(members, 40)
}

/// A node that has joined at this depth, and what is left to do after a refresh.
fn settled(depth: u8, members: usize, seed: u64) -> Placement {
    let mut placement = placement(24);
    placement.begin(LIFETIME, S(0));
    (0..depth).for_each(|_| assert!(placement.move_on()));
    placement.joined(&joined(members), true, S(0), &mut Rng::with_seed(seed));
    placement
}

fn upkeep(mut placement: Placement) -> Vec<Upkeep> {
    let next = || {
        let next = placement.upkeep()?;
        placement.upkeep_ended();
        Some(next)
    };
    std::iter::from_fn(next).collect()
}

#[test]
fn a_full_shard_sends_a_node_down_to_the_greatest_depth() {
    let mut placement = placement(2);
    for depth in 0..=2 {
        assert_eq!(placement.path(), Some(shard(depth)));
        placement.attempt(S(0));
        assert_eq!(placement.move_on(), depth < 2);
    }
}

/// Who fills the deepest shard alone would else keep a node out when the marks above have ended.
#[test]
fn a_node_that_the_deepest_shard_has_no_room_for_begins_at_its_root_again() {
    let mut placement = placement(2);
    placement.begin(LIFETIME, S(0));
    for _ in 0..3 {
        placement.attempt(S(0));
        placement.move_on();
    }
    assert_eq!(placement.path(), Some(shard(0)));
    assert_eq!(placement.to_leave(), []);
}

#[test]
fn a_full_shard_that_does_not_divide_sends_a_node_to_the_next_one_until_all_were_tried() {
    let mut placement = placement(0);
    for _ in 0..2 {
        placement.begin(LIFETIME, S(0));
        let first = placement.path();
        assert!((1..8).all(|_| placement.move_on()));
        assert!(!placement.move_on());
        assert_ne!(placement.path(), first);
    }
    assert_eq!(
        Placement::new(Limits::new(900, 4, LIFETIME, 0), &NodeId::from([7; 32])).path(),
        None
    );
}

/// A withdrawal leaves them all.
#[test]
fn shards_that_a_node_has_left_are_remembered_while_they_may_list_it() {
    let mut placement = settled(0, 20, 1);
    placement.begin(LIFETIME, S(60));
    assert!(placement.move_on());
    placement.attempt(S(60));
    assert!(placement.move_on(), "that one is full as well");
    placement.joined(&joined(20), true, S(60), &mut Rng::with_seed(1));
    let listings = |placement: &Placement| placement.to_leave();
    assert_eq!(listings(&placement), [shard(2), shard(0)]);
    placement.begin(LIFETIME, S(3_600));
    assert_eq!(listings(&placement), [shard(2)]);
    placement.begin(LIFETIME, S(3_660));
    assert_eq!(listings(&placement), []);
}

#[test]
fn a_node_of_a_sparse_shard_climbs_and_does_not_renew_the_mark_above() {
    let mut placement = settled(1, 5, 1);
    assert_eq!(placement.upkeep(), Some(Upkeep::Climb(shard(0))));
    placement.climbed(&joined(12), S(1), &mut Rng::with_seed(1));
    assert_eq!(placement.path(), Some(shard(0)));
    assert_eq!(placement.upkeep(), None);

    let refused = settled(1, 5, 1);
    assert_eq!(upkeep(refused), [Upkeep::Climb(shard(0))]);
    // One that is more than a quarter full stays.
    let stays = (0..100).map(|seed| upkeep(settled(1, 11, seed)));
    let renewals = stays.filter(|upkeep| upkeep.contains(&Upkeep::Divide(shard(0))));
    assert!(renewals.count() > 0);
}

#[test]
fn the_nodes_below_a_mark_renew_it_a_few_times_in_all_at_every_depth() {
    for depth in [1, 4, 12] {
        for levels in 1..=depth {
            let mark = Upkeep::Divide(shard(depth - levels));
            let nodes = 20 << levels;
            let nodes_asked = 20_000.min(nodes);
            let renewals = (0..nodes_asked)
                .filter(|seed| upkeep(settled(depth, 20, *seed)).contains(&mark))
                .count();
            let expected = CHECKS * nodes_asked as f64 / nodes as f64;
            let off = (renewals as f64 - expected).abs();
            // Five standard deviations.
            assert!(
                off <= 5.0 * expected.sqrt() + 1.0,
                "{renewals}, not {expected}, of {mark:?}"
            );
        }
    }
}

#[test]
fn a_join_that_is_repeated_between_refreshes_has_no_upkeep() {
    let mut placement = settled(3, 5, 1);
    placement.joined(&joined(5), false, S(9), &mut Rng::with_seed(1));
    assert_eq!(placement.upkeep(), None);
}

#[test]
fn a_node_does_not_leave_shards_of_an_engine_that_cannot_remove_entries() {
    let limits = Limits::new(900, 4, LIFETIME, 8).leaving_lazily();
    let mut placement = Placement::new(limits, &NodeId::from([7; 32]));
    placement.begin(LIFETIME, S(0));
    placement.joined(&Put::new(8, 8), true, S(0), &mut Rng::with_seed(1));
    assert_eq!(placement.to_leave(), []);
}

/// An engine may not say how many members a shard has.
#[test]
fn a_shard_of_unknown_size_is_not_sparse() {
    let mut placement = placement(24);
    assert!(placement.move_on());
    placement.joined(&Put::new(8, 8), true, S(0), &mut Rng::with_seed(1));
    assert_eq!(upkeep(placement), [Upkeep::Divide(shard(0))]);
}
