//! Ids and views of peers as words, as the map holds them.

use crate::coordinates::Coordinate;
use crate::relay::NodeId;
use crate::select::PeerView;
use crate::time::Tick;
use std::time::Duration;

/// The words of an id: its length, and its bytes padded with zeros.
pub(super) const ID_WORDS: usize = NodeId::MAX_LEN.div_ceil(8) + 1;
/// The first words of a view: until when it counts.
pub(super) const TICK_WORDS: usize = 1;
/// The words of a coordinate. Each has two floats; the last half is 1 if there is a
/// coordinate.
const COORDINATE_WORDS: usize = (Coordinate::DIMENSIONS + 4).div_ceil(2);
/// The words of a view.
pub(super) const VIEW_WORDS: usize =
    TICK_WORDS + COORDINATE_WORDS + PeerView::MAX_MEASURED * ID_WORDS;

/// The round trip to a relay is in the upper half of the word with the length of its id.
const MICROS_SHIFT: u32 = 32;

pub(super) fn pack_id(id: &NodeId) -> [u64; ID_WORDS] {
    let bytes = id.as_bytes();
    let mut words = [0; ID_WORDS];
    words[0] = bytes.len() as u64;
    for (word, chunk) in words[1..].iter_mut().zip(bytes.chunks(8)) {
        let mut padded = [0; 8];
        padded[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_ne_bytes(padded);
    }
    words
}

/// `None` if the length is not that of an id.
pub(super) fn unpack_id(words: &[u64]) -> Option<NodeId> {
    let mut bytes = [0; 8 * (ID_WORDS - 1)];
    for (chunk, word) in bytes.chunks_mut(8).zip(&words[1..]) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    let len = words[0] as u32 as usize;
    NodeId::from_bytes(bytes.get(..len)?).ok()
}

pub(super) fn pack_view(view: &PeerView, until: Tick) -> [u64; VIEW_WORDS] {
    let mut words = [0; VIEW_WORDS];
    words[0] = until.0;
    let (coordinate, relays) = words[TICK_WORDS..].split_at_mut(COORDINATE_WORDS);
    if let Some(position) = view.position() {
        coordinate.copy_from_slice(&pack_coordinate(&position));
    }
    for (words, (relay, micros)) in relays.chunks_exact_mut(ID_WORDS).zip(view.pairs()) {
        words.copy_from_slice(&pack_id(relay));
        words[0] |= u64::from(micros) << MICROS_SHIFT;
    }
    words
}

/// Until when a view counts, from its first word.
pub(super) fn until(words: &[u64]) -> Tick {
    Tick(words[0])
}

pub(super) fn unpack_view(words: &[u64; VIEW_WORDS]) -> PeerView {
    let (coordinate, relays) = words[TICK_WORDS..].split_at(COORDINATE_WORDS);
    let mut view = PeerView::new();
    for words in relays.chunks_exact(ID_WORDS) {
        let Some(relay) = unpack_id(words) else {
            break;
        };
        let rtt = Duration::from_micros(words[0] >> MICROS_SHIFT);
        // It was taken into a view before.
        view = view.measured(relay, rtt).unwrap_or(view);
    }
    match unpack_coordinate(coordinate) {
        Some(coordinate) => view.coordinate(coordinate),
        None => view,
    }
}

fn pack_coordinate(coordinate: &Coordinate) -> [u64; COORDINATE_WORDS] {
    let position = coordinate.position().into_iter();
    let rest = [
        coordinate.height(),
        coordinate.adjustment(),
        coordinate.error(),
    ];
    let mut halves = position.chain(rest).map(f32::to_bits).chain([1]);
    let mut half = || u64::from(halves.next().unwrap_or(0));
    std::array::from_fn(|_| half() | half() << 32)
}

fn unpack_coordinate(words: &[u64]) -> Option<Coordinate> {
    let half = |at: usize| (words[at / 2] >> (32 * (at % 2))) as u32;
    let float = |at| f32::from_bits(half(at));
    const AXES: usize = Coordinate::DIMENSIONS;
    if half(AXES + 3) == 0 {
        return None;
    }
    let position = std::array::from_fn(float);
    Coordinate::new(position, float(AXES), float(AXES + 1), float(AXES + 2)).ok()
}

#[cfg(all(test, not(relay_loom)))]
mod tests {
    use super::*;

    fn id(len: usize) -> NodeId {
        NodeId::from_bytes(&vec![0xa5; len]).unwrap()
    }

    #[test]
    fn a_view_comes_back_as_it_was() {
        let position = std::array::from_fn(|axis| axis as f32 * 1_000.5 - 3_000.0);
        let coordinate = Coordinate::new(position, 7.25, -3.5, 0.75).unwrap();
        let mut view = PeerView::new();
        let mut all = vec![view, view.coordinate(coordinate)];
        for (len, micros) in [(1, 1), (32, 20_000), (NodeId::MAX_LEN, 10_000_000)] {
            let rtt = Duration::from_micros(micros);
            view = view.measured(id(len), rtt).unwrap();
            all.extend([view, view.coordinate(coordinate)]);
        }
        for view in all {
            let words = pack_view(&view, Tick(77));
            assert_eq!(unpack_view(&words), view);
            assert_eq!(until(&words), Tick(77));
        }
    }

    #[test]
    fn ids_differ_in_their_words() {
        let mut words: Vec<_> = (1..=NodeId::MAX_LEN).map(|len| pack_id(&id(len))).collect();
        words.push(pack_id(&NodeId::from_bytes(&[0xa5, 0]).unwrap()));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), NodeId::MAX_LEN + 1);
    }
}
