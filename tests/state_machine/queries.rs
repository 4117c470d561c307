//! What calls ask for, in a history.

use super::operations::{CROWD, any_node, domain, label};
use crate::common::ms;
use crate::model::{CAPACITY_CEILING, Family, Filter, NODES, Query, View, node, unconditional};
use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;
use relay_registry::{NodeId, PeerView};
use std::time::Duration;

/// Most of the crowd: more relays than a search compares one by one.
fn many_excluded() -> impl Strategy<Value = std::collections::BTreeSet<NodeId>> {
    btree_set((0..NODES + CROWD).prop_map(node), 9..NODES + CROWD)
}

/// Mostly as many as some relays have: see `detailed`.
pub fn units() -> impl Strategy<Value = u32> {
    prop_oneof![
        12 => Just(1),
        8 => 2..=4_u32,
        2 => 5..=120_u32,
        1 => prop_oneof![Just(CAPACITY_CEILING), Just(CAPACITY_CEILING + 1), Just(u32::MAX)],
    ]
}

pub fn view() -> impl Strategy<Value = View<NodeId>> {
    let rtt = prop_oneof![
        Just(ms(10)),
        (1..300_000_u64).prop_map(Duration::from_micros)
    ];
    btree_map(any_node(), rtt, 0..=PeerView::MAX_MEASURED)
}

/// A requester, and views of both peers.
fn peers() -> impl Strategy<Value = (Option<NodeId>, Option<View<NodeId>>, Option<View<NodeId>>)> {
    (
        option::weighted(0.3, any_node()),
        option::weighted(0.15, view()),
        option::weighted(0.15, view()),
    )
}

pub fn query() -> impl Strategy<Value = Query<NodeId>> {
    let wishes = (
        0..=NODES + 1,
        prop_oneof![4 => btree_set(any_node(), 0..4), 1 => many_excluded()],
        option::of(prop_oneof![
            Just(ms(10)),
            Just(ms(100)),
            (1..300_u64).prop_map(ms)
        ]),
        any::<bool>(),
        option::weighted(0.3, any_node()),
        units(),
        filter(),
        peers(),
    )
        .prop_map(
            |(
                max_results,
                excluded,
                max_latency,
                allow_unmeasured,
                preferred,
                units,
                filter,
                peers,
            )| {
                Query {
                    max_results,
                    excluded,
                    max_latency,
                    allow_unmeasured,
                    preferred,
                    units,
                    filter,
                    requester: peers.0,
                    requester_view: peers.1,
                    target_view: peers.2,
                }
            },
        );
    prop_oneof![1 => Just(unconditional()), 2 => wishes]
}

fn filter() -> impl Strategy<Value = Filter> {
    let family = prop_oneof![Just(Family::V4), Just(Family::V6)];
    let asked = (
        btree_set(label(), 0..3),
        btree_set(label(), 0..2),
        option::weighted(0.3, family),
        btree_set(domain(), 0..2),
    );
    let asked = asked.prop_map(|(require, avoid, family, exclude_domains)| Filter {
        require,
        avoid,
        family,
        exclude_domains,
    });
    prop_oneof![2 => Just(Filter::default()), 1 => asked]
}
