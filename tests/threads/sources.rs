//! Lists under tags, synchronised by several threads at once.

use crate::at_once;
use crate::common::{World, endpoint, id, world_of};
use relay_registry::SourceRelay;
use std::collections::BTreeSet;

const ROUNDS: u32 = 300;

fn plain(numbers: impl IntoIterator<Item = u32>) -> Vec<SourceRelay> {
    let entry = |n| (id(n), endpoint(n)).into();
    numbers.into_iter().map(entry).collect()
}

fn held(world: &World) -> BTreeSet<u32> {
    (0..40).filter(|n| world.has(*n)).collect()
}

/// Each call is one step: in the end the relays are those of one list, and the reports add up.
#[test]
fn of_two_lists_for_one_tag_one_is_in_force() {
    let world = world_of(100);
    for round in 0..ROUNDS {
        let lists = [0..10, 5..(10 + round % 5)];
        let reports = at_once(2, |n| {
            let list = plain(lists[n as usize].clone());
            world.sync_source("file", list).expect("a valid list")
        });
        assert!(
            reports.iter().all(|report| report.refused.is_empty()),
            "{reports:?}"
        );
        let held = held(&world);
        let is_one = lists.iter().any(|list| held == list.clone().collect());
        assert!(is_one, "{held:?} is a mixture of {lists:?}");
        let came = |it: &relay_registry::SyncReport| it.registered + it.returned;
        let came: usize = reports.iter().map(came).sum();
        let left = world.sync_source("file", Vec::<SourceRelay>::new());
        let left = left.expect("a valid list").removed;
        let removed: usize = reports.iter().map(|report| report.removed).sum();
        assert_eq!(came, removed + left);
    }
}

/// One tag drops what the other one lists at the same time.
#[test]
fn a_relay_that_passes_from_tag_to_tag_is_there_in_the_end() {
    let world = world_of(100);
    for round in 0..ROUNDS {
        let tags = ["a", "b"];
        let lists = [round % 2, 1 - round % 2].map(|lists| match lists {
            0 => plain(0..20),
            _ => plain([]),
        });
        at_once(2, |n| {
            let n = n as usize;
            world
                .sync_source(tags[n], lists[n].clone())
                .expect("a valid list")
        });
        assert_eq!(held(&world), (0..20).collect(), "round {round}");
    }
}
