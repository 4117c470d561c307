//! The report: every figure of both worlds, and what it means.

use crate::args::Args;
use crate::figures::{Section, quantile, share, whole};
use crate::matrix::Matrix;
use crate::{all_to_all, bipartite};

/// Median and p90 of each of the rules, in their order.
const STRETCHES: [[(&str, &str); 2]; 6] = [
    [
        ("one_sided_p50", "the nearest to the requester: median"),
        ("one_sided_p90", "the same, for all but the worst tenth"),
    ],
    [
        ("coordinates_p50", "the second leg by coordinates: median"),
        ("coordinates_p90", "the same, for all but the worst tenth"),
    ],
    [
        (
            "published_p50",
            "the target's three nearest relays exactly, the others by coordinates: median",
        ),
        ("published_p90", "the same, for all but the worst tenth"),
    ],
    [
        (
            "right_angles_p50",
            "the three exactly, the others by right angles at those: median",
        ),
        ("right_angles_p90", "the same, for all but the worst tenth"),
    ],
    [
        (
            "detour_p50",
            "the three exactly, the others as detours by the nearest: median",
        ),
        ("detour_p90", "the same, for all but the worst tenth"),
    ],
    [
        (
            "midway_p50",
            "the three exactly, the others midway between their bounds: median",
        ),
        ("midway_p90", "the same, for all but the worst tenth"),
    ],
];

pub fn sections(
    args: &Args,
    matrix: &Matrix,
    full_mesh: &all_to_all::Outcome,
    relayed: &bipartite::Outcome,
) -> Vec<Section> {
    vec![
        setting(args, matrix),
        estimates(full_mesh),
        positions(relayed),
        choices(relayed),
    ]
}

fn setting(args: &Args, matrix: &Matrix) -> Section {
    Section {
        title: "The world",
        figures: vec![
            whole("nodes", matrix.nodes() as u64, "nodes of the matrix"),
            share("liars", args.liars, "share of the peers that lie"),
            whole(
                "rounds",
                args.rounds as u64,
                "round trips each peer measures",
            ),
            whole(
                "probes",
                args.probes as u64,
                "relays each peer measures at most",
            ),
            whole("seed", args.seed, "the same seed gives the same study"),
        ],
    }
}

fn estimates(full_mesh: &all_to_all::Outcome) -> Section {
    Section {
        title: "Everyone probes full_mesh",
        figures: vec![
            share(
                "error_p50",
                quantile(&full_mesh.errors, 0.5),
                "|estimate - rtt| / rtt of pairs of honest nodes: median",
            ),
            share(
                "error_p90",
                quantile(&full_mesh.errors, 0.9),
                "the same, for all but the worst tenth",
            ),
            share(
                "refused_share",
                full_mesh.refused,
                "samples refused as malformed or as outliers",
            ),
        ],
    }
}

fn positions(relayed: &bipartite::Outcome) -> Section {
    Section {
        title: "Peers probe relays, whose positions are learned from that",
        figures: vec![
            share(
                "relay_error_p50",
                quantile(&relayed.errors, 0.5),
                "|estimate - rtt| / rtt of honest peer and relay: median",
            ),
            share(
                "relay_error_p90",
                quantile(&relayed.errors, 0.9),
                "the same, for all but the worst tenth",
            ),
            share(
                "relay_refused_share",
                relayed.refused,
                "samples of relays refused as malformed or as outliers",
            ),
        ],
    }
}

fn choices(relayed: &bipartite::Outcome) -> Section {
    let figures = STRETCHES.iter().zip(&relayed.stretches);
    Section {
        title: "Path by the relay chosen over the shortest, first leg measured",
        figures: figures
            .flat_map(|(names, stretches)| {
                let quantiles = names.iter().zip([0.5, 0.9]);
                quantiles.map(|((name, meaning), at)| share(name, quantile(stretches, at), meaning))
            })
            .collect(),
    }
}
