//! What makes one relay better than another.

use crate::table::record::Load;

/// The score of a relay at the end of a path: lower is better.
///
/// `e / (1 - u^4)`, with `e` the expected round trip of the path and `u` the
/// relay's utilisation. Below half load it is the distance that counts; near
/// the capacity the penalty outgrows any distance, so the nearest relay is
/// left alone before it is full. Against greedy nearest, power of two choices
/// over all, products in the manner of Peak-EWMA and threshold bands it gave
/// the shortest paths of those that leave no relay saturated, simulated on
/// measured matrices (see ARCHITECTURE.md).
///
/// The load must be below the capacity.
#[inline]
pub(crate) fn score(path_micros: u32, load: Load) -> f32 {
    let utilisation = load.utilisation();
    let square = utilisation * utilisation;
    path_micros as f32 / (1.0 - square * square)
}

/// What a path is multiplied by for the load of its relay; infinite at the
/// capacity and above.
pub(crate) fn penalty(load: Load) -> f32 {
    if load.total() < load.capacity() {
        score(1, load)
    } else {
        f32::INFINITY
    }
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn load(total: u32) -> Load {
        Load::idle(1_000).with_report(total)
    }

    #[test]
    fn an_idle_relay_scores_its_path() {
        assert_eq!(score(150_000, load(0)), 150_000.0);
    }

    #[test]
    fn load_outweighs_distance_only_when_it_is_high() {
        assert!(score(100_000, load(500)) < score(110_000, load(0)));
        assert!(score(100_000, load(900)) > score(200_000, load(0)));
    }

    #[test]
    fn the_score_stays_finite_up_to_the_last_free_unit() {
        let load = Load::idle(crate::MAX_CAPACITY).with_report(crate::MAX_CAPACITY - 1);
        assert!(score(20_000_000, load).is_finite());
    }
}
