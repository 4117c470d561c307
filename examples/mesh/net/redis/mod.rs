//! A Redis server of this run. Any client can write anything under any key.

mod server;

use std::sync::Arc;
use std::time::Duration;

use redis::{Client, RedisResult, cmd};
use relay_registry::NodeId;
use relay_registry::dht::{Redis, RelayDht};

use super::Net;
use super::infiltrated::Infiltrated;
use crate::attack::AttackRecords;
use crate::error::Failure;
use crate::intervals::Intervals;
use server::Server;

/// What all keys begin with.
const PREFIX: &str = "relay-registry:mesh";

/// How long the server keeps what the attacker writes.
const ATTACK_TTL: Duration = Duration::from_secs(60);

pub struct RedisNet {
    server: Server,
    intervals: Intervals,
    attack_records: Arc<AttackRecords>,
}

impl RedisNet {
    pub fn start(
        intervals: Intervals,
        attack_records: Arc<AttackRecords>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            server: Server::start()?,
            intervals,
            attack_records,
        })
    }

    /// Writes to the key of a record, as any client can.
    fn set_record(&self, node: &NodeId, bytes: &[u8]) -> RedisResult<()> {
        let url = format!("unix://{}", self.server.socket().display());
        let mut connection = Client::open(url)?.get_connection()?;
        let mut set = cmd("SET");
        set.arg(format!("{PREFIX}:record:{node}"))
            .arg(bytes)
            .arg("PX")
            .arg(ATTACK_TTL.as_secs() * 1_000);
        set.query(&mut connection)
    }
}

impl Net for RedisNet {
    fn join(&self) -> Result<Arc<dyn RelayDht>, Failure> {
        let engine = Redis::builder(self.intervals.network)
            .unix_socket(self.server.socket())
            .prefix(PREFIX)
            .refresh(self.intervals.refresh)
            .build();
        Ok(Arc::new(Infiltrated::new(engine, &self.attack_records)))
    }

    fn infiltrate(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// The server stores it in place of the valid record. The relay restores that at its next refresh.
    fn store_raw(&self, node: &NodeId, bytes: &[u8]) -> Option<bool> {
        Some(self.set_record(node, bytes).is_ok())
    }

    /// There is one server. It loses everything, and the relays write it again.
    fn kill_half(&mut self) -> Result<usize, Failure> {
        self.server.restart()?;
        Ok(1)
    }
}
