//! The roles of the nodes: which are relays, with which capacity, and which have a registry.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use fastrand::Rng;
use relay_registry::NodeId;

use crate::args::Args;
use crate::error::Failure;
use crate::matrix::Matrix;

const CAPACITIES: [u32; 4] = [20, 40, 80, 160];
const DEFAULT_REGISTRIES: usize = 8;
/// Ids are as long as public keys. The number of the node comes first.
const ID_LEN: usize = 32;
const NUMBER_LEN: usize = 4;

/// A node that forwards for others.
#[derive(Debug, Clone, PartialEq)]
pub struct Relay {
    pub node: usize,
    pub capacity: u32,
}

pub struct World {
    matrix: Matrix,
    pub relays: Vec<Relay>,
    /// The embedding nodes: where registries are, and sessions begin.
    pub homes: Vec<usize>,
    /// For each node, which relay it is.
    relay_at: Vec<Option<usize>>,
    /// For each node, which embedding node it is.
    home_at: Vec<Option<usize>>,
    ids: Vec<NodeId>,
}

impl World {
    /// Assigns the roles by the seed.
    pub fn new(matrix: Matrix, args: &Args) -> Result<Self, Failure> {
        let (relays, homes) = head_counts(matrix.nodes(), args)?;
        let mut rng = Rng::with_seed(args.seed);
        let mut nodes: Vec<usize> = (0..matrix.nodes()).collect();
        rng.shuffle(&mut nodes);
        let homes = nodes[relays..relays + homes].to_vec();
        let relays: Vec<Relay> = nodes[..relays]
            .iter()
            .map(|&node| Relay {
                node,
                capacity: CAPACITIES[rng.usize(..CAPACITIES.len())],
            })
            .collect();
        let mut relay_at = vec![None; matrix.nodes()];
        for (index, relay) in relays.iter().enumerate() {
            relay_at[relay.node] = Some(index);
        }
        let mut home_at = vec![None; matrix.nodes()];
        for (index, &home) in homes.iter().enumerate() {
            home_at[home] = Some(index);
        }
        let world = Self {
            ids: (0..matrix.nodes()).map(node_id).collect(),
            matrix,
            relays,
            homes,
            relay_at,
            home_at,
        };
        if world.has_known_path() {
            Ok(world)
        } else {
            Err(Failure::Usage(world.no_path(args)))
        }
    }

    /// Whether any path from an embedding node through a relay to another node was measured.
    fn has_known_path(&self) -> bool {
        self.relays.iter().any(|relay| {
            let known =
                |&node: &usize| node != relay.node && self.rtt_ms(relay.node, node).is_some();
            let targets = (0..self.nodes()).filter(known).take(2);
            let targets: Vec<usize> = targets.collect();
            let mut homes = self.homes.iter();
            homes.any(|&home| {
                self.rtt_ms(home, relay.node).is_some() && targets.iter().any(|&it| it != home)
            })
        })
    }

    fn no_path(&self, args: &Args) -> String {
        format!(
            "--seed {}: no path from one of the {} embedding nodes through one of the {} relays to another node \
             was measured; set more --relays or --registries, or measure more pairs",
            args.seed,
            self.homes.len(),
            self.relays.len(),
        )
    }

    pub fn nodes(&self) -> usize {
        self.matrix.nodes()
    }

    /// The round trip between two nodes in ms, if it was measured.
    pub fn rtt_ms(&self, from: usize, to: usize) -> Option<f32> {
        self.matrix.rtt_ms(from, to)
    }

    pub fn capacity(&self) -> u32 {
        self.relays.iter().map(|relay| relay.capacity).sum()
    }

    pub fn id(&self, node: usize) -> NodeId {
        self.ids[node]
    }

    pub fn relay_id(&self, relay: usize) -> NodeId {
        self.id(self.relays[relay].node)
    }

    /// Which relay this node is, if any.
    pub fn relay_at(&self, node: usize) -> Option<usize> {
        self.relay_at.get(node).copied().flatten()
    }

    /// Which relay has this id, if any.
    pub fn relay_of(&self, id: &NodeId) -> Option<usize> {
        let number = id.as_bytes().first_chunk::<NUMBER_LEN>()?;
        let node = usize::try_from(u32::from_be_bytes(*number)).ok()?;
        let relay = self.relay_at(node)?;
        (self.id(node) == *id).then_some(relay)
    }

    /// Which embedding node this node is, if any.
    pub fn home_at(&self, node: usize) -> Option<usize> {
        self.home_at[node]
    }

    /// The round trip of a node to a relay without queueing.
    pub fn measured(&self, node: usize, relay: usize) -> Option<Duration> {
        let rtt = self.matrix.rtt_ms(node, self.relays[relay].node)?;
        // A round trip of 0 in the matrix was rounded.
        Some(Duration::from_secs_f32(rtt / 1e3).max(Duration::from_micros(1)))
    }

    /// The round trip from one node to another through a relay, in ms.
    pub fn path_ms(&self, from: usize, relay: usize, to: usize) -> Option<f32> {
        let node = self.relays[relay].node;
        Some(self.matrix.rtt_ms(from, node)? + self.matrix.rtt_ms(node, to)?)
    }

    /// A random target: any node but the requester, relays included.
    pub fn random_target(&self, home: usize, rng: &mut Rng) -> usize {
        let node = rng.usize(..self.nodes() - 1);
        if node < home { node } else { node + 1 }
    }
}

/// The id of a node: its number, then pseudo-random bytes.
fn node_id(node: usize) -> NodeId {
    let mut id = [0; ID_LEN];
    Rng::with_seed(node as u64).fill(&mut id);
    id[..NUMBER_LEN].copy_from_slice(&(node as u32).to_be_bytes());
    NodeId::from(id)
}

/// The endpoint of a relay, in the range that is reserved for benchmarks.
pub fn endpoint(relay: usize, port: u16) -> SocketAddr {
    let address = u32::from(Ipv4Addr::new(198, 18, 0, 1)) + relay as u32;
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(address)), port)
}

/// How many relays and embedding nodes there are: as the arguments say, or by the size of the world.
fn head_counts(nodes: usize, args: &Args) -> Result<(usize, usize), Failure> {
    if nodes < 3 {
        let what = format!(
            "a world of {nodes} nodes is too small: a relay, a node that asks, and a target"
        );
        return Err(Failure::Usage(what));
    }
    let relays = args.relays.unwrap_or((nodes / 10).max(1));
    if relays >= nodes {
        let what = format!("--relays {relays}: of {nodes} nodes at least one must not be a relay");
        return Err(Failure::Usage(what));
    }
    let others = nodes - relays;
    let homes = args.registries.unwrap_or(DEFAULT_REGISTRIES.min(others));
    if homes > others {
        let what = format!("--registries {homes}: only {others} of {nodes} nodes are not relays");
        return Err(Failure::Usage(what));
    }
    Ok((relays, homes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world(nodes: usize, args: &Args) -> Result<World, Failure> {
        World::new(Matrix::from_fn(nodes, |a, b| a.abs_diff(b) as f32), args)
    }

    #[test]
    fn a_tenth_are_relays_and_registries_are_elsewhere() {
        let world = world(100, &Args::default()).unwrap();
        assert_eq!((world.relays.len(), world.homes.len()), (10, 8));
        for (index, relay) in world.relays.iter().enumerate() {
            assert!(!world.homes.contains(&relay.node));
            assert_eq!(world.relay_of(&world.relay_id(index)), Some(index));
        }
        for (index, &home) in world.homes.iter().enumerate() {
            assert_eq!(world.relay_of(&world.id(home)), None);
            assert_eq!(world.home_at(home), Some(index));
        }
    }

    #[test]
    fn roles_follow_from_the_seed() {
        let with_seed = |seed| {
            let args = Args {
                seed,
                ..Args::default()
            };
            let world = world(100, &args).unwrap();
            (world.relays, world.homes)
        };
        assert_eq!(with_seed(3), with_seed(3));
        assert_ne!(with_seed(3), with_seed(4));
    }

    #[test]
    fn a_target_is_never_the_one_who_asks() {
        let world = world(3, &Args::default()).unwrap();
        let mut rng = Rng::with_seed(1);
        for home in 0..3 {
            let mut seen = [0; 3];
            for _ in 0..100 {
                seen[world.random_target(home, &mut rng)] += 1;
            }
            assert_eq!(seen[home], 0);
            assert_eq!(seen.iter().filter(|&&times| times > 0).count(), 2);
        }
    }

    #[test]
    fn worlds_that_cannot_be_are_refused() {
        let refused = |nodes, relays, registries| {
            let args = Args {
                relays,
                registries,
                ..Args::default()
            };
            world(nodes, &args).err().map(|failure| failure.to_string())
        };
        assert_eq!(refused(3, None, None), None);
        assert!(refused(2, None, None).unwrap().contains("too small"));
        assert!(refused(5, Some(5), None).unwrap().contains("--relays 5"));
        assert!(
            refused(5, Some(3), Some(3))
                .unwrap()
                .contains("--registries 3")
        );
    }

    #[test]
    fn a_world_without_a_measured_path_is_refused() {
        let args = Args {
            relays: Some(1),
            ..Args::default()
        };
        let measured = |text| World::new(crate::matrix::parse(text).unwrap(), &args);
        // One pair alone is no path.
        let failure = measured("0 5 -1\n5 0 -1\n-1 -1 0").err().unwrap();
        assert!(failure.to_string().contains("no path"), "{failure}");
        assert!(measured("0 5 7\n5 0 6\n7 6 0").is_ok());
    }
}
