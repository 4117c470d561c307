//! Branch and bound over the trees of a snapshot.
//!
//! An [`Objective`] gives a lower bound for each child of a node. A search visits children
//! with the least bound first, and prunes those whose bound is not below the limit. The limit
//! falls as better relays are found.

use crate::simd::{Four, Lanes};
use crate::sync::random_bits;
use crate::table::snapshot::{FANOUT, TierPart, pick};
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// What a search minimises.
pub(crate) trait Objective {
    type Bound: Bound;

    /// Whether children with equal bounds are visited in random order, or else in the order
    /// of their slots.
    const IS_RANDOM: bool;

    /// A lower bound for the relays below each word of a node.
    fn lower_bounds(
        &mut self,
        part: TierPart<'_>,
        level: usize,
        node: usize,
    ) -> Bounds<Self::Bound>;

    /// Children whose bound is not below this are pruned.
    fn limit(&self) -> Self::Bound;

    /// Visits the relay in a slot.
    fn visit_leaf(&mut self, part: TierPart<'_>, slot: usize);
}

/// A lower bound of what is minimised.
pub(crate) trait Bound: Copy + PartialOrd {
    /// Not below any limit.
    const NEVER: Self;

    /// The least bound of a node, and a bit for each child that has it, or for the first.
    fn least(bounds: &Bounds<Self>) -> (Self, u32);
}

/// A lower bound for each child of a node.
pub(crate) type Bounds<B> = [B; FANOUT];

/// A score.
impl Bound for f32 {
    const NEVER: Self = Self::INFINITY;

    #[inline(always)]
    fn least(bounds: &Bounds<Self>) -> (Self, u32) {
        if FANOUT % Four::MANY != 0 {
            return least_one_by_one(bounds);
        }
        let fours = || {
            (0..FANOUT)
                .step_by(Four::MANY)
                .map(|at| (at, Four::of(bounds, at)))
        };
        let least = fours().fold(Four::splat(Self::INFINITY), |least, (_, four)| {
            least.min(four)
        });
        let mut candidates = [0.0; Four::MANY];
        least.put(&mut candidates, 0);
        let least = candidates.into_iter().fold(Self::INFINITY, Self::min);
        let same = Four::splat(least);
        let equal = fours().fold(0, |mask, (at, four)| mask | four.equal(same) << at);
        (least, equal)
    }
}

/// A tick.
impl Bound for u64 {
    const NEVER: Self = Self::MAX;

    /// Of equal bounds the first: a search by ticks is in the order of slots.
    #[inline(always)]
    fn least(bounds: &Bounds<Self>) -> (Self, u32) {
        let (mut least, mut first) = (bounds[0], 0);
        for (at, &bound) in (0..).zip(bounds).skip(1) {
            (least, first) = if bound < least {
                (bound, at)
            } else {
                (least, first)
            };
        }
        (least, 1 << first)
    }
}

fn least_one_by_one(bounds: &Bounds<f32>) -> (f32, u32) {
    let least = bounds.iter().copied().fold(f32::INFINITY, f32::min);
    let bits = bounds.iter().map(|&bound| u32::from(bound == least));
    (least, bits.rev().fold(0, |mask, bit| mask << 1 | bit))
}

/// Searches a part depth first: in each node, the child with the least bound first.
pub(crate) fn depth_first<O: Objective>(objective: &mut O, part: TierPart<'_>) {
    visit(objective, part, part.leaves.top(), 0);
}

fn visit<O: Objective>(objective: &mut O, part: TierPart<'_>, level: usize, node: usize) {
    let mut open = OpenNode::new(objective, part, level, node);
    while open.least.0 < objective.limit() {
        let below = open.take_child::<O>();
        match level {
            0 => objective.visit_leaf(part, below),
            _ => visit(objective, part, level - 1, below),
        }
        open.find_least();
    }
}

/// Searches several parts best first: of all open nodes, the child with the least bound is
/// visited next.
pub(crate) fn best_first<'a, O: Objective>(
    objective: &mut O,
    parts: impl Iterator<Item = TierPart<'a>>,
) {
    let mut nodes = Vec::with_capacity(NODES);
    nodes.extend(parts.map(|part| OpenNode::new(objective, part, part.leaves.top(), 0)));
    let mut queue = BinaryHeap::with_capacity(NODES);
    queue.extend(
        (0..)
            .zip(&nodes)
            .map(|(at, open)| QueuedNode::new(at, open)),
    );
    loop {
        let Some(mut first) = queue.peek_mut() else {
            return;
        };
        if first.least >= objective.limit() {
            return;
        }
        let open = &mut nodes[first.at as usize];
        let (part, level) = (open.part, open.level);
        let below = open.take_child::<O>();
        open.find_least();
        if open.least.0 != first.least {
            // This moves the node to another place in the queue.
            first.least = open.least.0;
        }
        drop(first);
        match level {
            0 => objective.visit_leaf(part, below),
            _ => {
                let open = OpenNode::new(objective, part, level - 1, below);
                queue.push(QueuedNode::new(nodes.len() as u32, &open));
                nodes.push(open);
            }
        }
    }
}

/// Room for so many open nodes is allocated at once; most searches have fewer.
const NODES: usize = 8;

/// A node with children that were not visited yet.
struct OpenNode<'a, B> {
    part: TierPart<'a>,
    level: usize,
    node: usize,
    bounds: Bounds<B>,
    /// The least of them, and a bit for each child that has it.
    least: (B, u32),
}

impl<'a, B: Bound> OpenNode<'a, B> {
    #[inline(always)]
    fn new<O: Objective<Bound = B>>(
        objective: &mut O,
        part: TierPart<'a>,
        level: usize,
        node: usize,
    ) -> Self {
        let bounds = objective.lower_bounds(part, level, node);
        Self {
            part,
            level,
            node,
            least: B::least(&bounds),
            bounds,
        }
    }

    /// Removes a child with the least bound. Before the next call the least bound has to be
    /// [found](Self::find_least) again.
    #[inline(always)]
    fn take_child<O: Objective>(&mut self) -> usize {
        let equal = self.least.1;
        let child = match O::IS_RANDOM && !equal.is_power_of_two() {
            true => pick(equal, random_bits()),
            false => equal.trailing_zeros(),
        };
        self.least.1 &= !(1 << child);
        self.bounds[child as usize] = B::NEVER;
        self.node * FANOUT + child as usize
    }

    #[inline(always)]
    fn find_least(&mut self) {
        if self.least.1 == 0 {
            self.least = B::least(&self.bounds);
        }
    }
}

/// An open node in the priority queue of a best-first search.
struct QueuedNode<B> {
    least: B,
    level: u32,
    /// Its index among the open nodes.
    at: u32,
}

impl<B: Bound> QueuedNode<B> {
    #[inline(always)]
    fn new(at: u32, open: &OpenNode<'_, B>) -> Self {
        Self {
            least: open.least.0,
            level: open.level as u32,
            at,
        }
    }
}

/// The node with the least bound is the greatest; of equal ones the one of the lower level,
/// since it is closer to a leaf.
impl<B: Bound> Ord for QueuedNode<B> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let order = other.least.partial_cmp(&self.least);
        let order = order.unwrap_or(Ordering::Equal);
        order.then(other.level.cmp(&self.level))
    }
}

impl<B: Bound> PartialOrd for QueuedNode<B> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<B: Bound> PartialEq for QueuedNode<B> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<B: Bound> Eq for QueuedNode<B> {}
