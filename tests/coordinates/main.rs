//! Network coordinates through the public API: properties for any input, and accuracy in the built-in world
//! of cities, with and without lying nodes.
//!
//! The worlds are those of the example `coordinates`, which also takes other matrices.

#[path = "../../examples/coordinates/all_to_all.rs"]
mod all_to_all;
#[allow(dead_code, reason = "shared with the examples")]
#[path = "../../examples/coordinates/bipartite.rs"]
mod bipartite;
#[path = "../../examples/common/cities.rs"]
mod cities;
#[allow(dead_code, reason = "shared with the examples")]
#[path = "../../examples/common/error.rs"]
mod error;
#[path = "../../examples/coordinates/liars.rs"]
mod liars;
#[allow(dead_code, reason = "shared with the examples")]
#[path = "../../examples/common/matrix.rs"]
mod matrix;
#[path = "../../examples/coordinates/round_trip.rs"]
mod round_trip;
#[path = "../../examples/coordinates/rule.rs"]
mod rule;

mod attacks;
mod choices;
mod persistence;
mod properties;

/// The value that this share of the sorted values does not exceed.
fn quantile(sorted: &[f32], share: f32) -> f32 {
    sorted[(sorted.len() as f32 * share) as usize]
}
