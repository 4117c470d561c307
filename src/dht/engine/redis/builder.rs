//! [`RedisBuilder`].

use std::fmt;
#[cfg(unix)]
use std::path::Path;
use std::time::Duration;

use super::Redis;
use super::connection::{Login, Server, Transport};
use super::keys::Keys;
use super::resolver::Resolver;
#[cfg(feature = "redis-tls")]
use super::tls::RedisTls;
use super::url::{Address, RedisUrlError, parse};
use crate::dht::engine::Limits;
use crate::dht::record::{MAX_VALUE_LEN, Network};

/// Builds a [`Redis`]; see [`Redis::builder`].
#[must_use = "a builder does nothing until it builds"]
pub struct RedisBuilder {
    network: Network,
    address: Address,
    #[cfg(feature = "redis-tls")]
    tls: Option<RedisTls>,
    login: Option<Login>,
    database: u32,
    keys: Keys,
    shards: u16,
    max_members: u32,
    max_in_flight: usize,
    refresh: Duration,
    watches: bool,
}

impl RedisBuilder {
    pub(super) fn new(network: Network) -> Self {
        Self {
            network,
            address: Address::Tcp {
                host: "127.0.0.1".into(),
                port: 6379,
            },
            #[cfg(feature = "redis-tls")]
            tls: None,
            login: None,
            database: 0,
            keys: Keys::of_network(&network),
            shards: 16,
            max_members: 0,
            max_in_flight: 8,
            refresh: Duration::from_secs(300),
            watches: true,
        }
    }

    /// Sets address, login and database from a URL:
    /// `redis://[[username]:password@]host[:port][/database]`, or on Unix
    /// `unix:///path[?db=database][&user=username][&pass=password]`. What the URL leaves out
    /// becomes the default. Username and password are percent-encoded.
    ///
    /// `rediss://` asks for TLS, which needs the feature `redis-tls`; `RedisBuilder::tls` says which
    /// certificates are used. No URL switches TLS off again.
    ///
    /// # Errors
    ///
    /// A [`RedisUrlError`] that says what is wrong with it, without the password.
    pub fn url(mut self, url: &str) -> Result<Self, RedisUrlError> {
        let target = parse(url)?;
        if target.is_tls {
            self.use_tls()?;
        }
        self.address = target.address;
        self.login = target.login;
        self.database = target.database;
        Ok(self)
    }

    /// Sets the address. A name is resolved whenever a connection is made, so after a failover
    /// it may name another server. Default: 127.0.0.1, port 6379.
    pub fn server(mut self, host: &str, port: u16) -> Self {
        self.address = Address::Tcp {
            host: host.into(),
            port,
        };
        self
    }

    /// Encrypts all connections, and accepts only a server that is authenticated as `tls` says.
    /// A Unix socket stays as it is. Default: not encrypted, or with `rediss://`, TLS with the roots
    /// that the operating system trusts.
    #[cfg(feature = "redis-tls")]
    pub fn tls(mut self, tls: RedisTls) -> Self {
        self.tls = Some(tls);
        self
    }

    #[cfg(feature = "redis-tls")]
    fn use_tls(&mut self) -> Result<(), RedisUrlError> {
        if self.tls.is_none() {
            let tls = RedisTls::builder().build();
            self.tls = Some(tls.map_err(|error| RedisUrlError::Tls {
                reason: error.to_string().into(),
            })?);
        }
        Ok(())
    }

    #[cfg(not(feature = "redis-tls"))]
    fn use_tls(&mut self) -> Result<(), RedisUrlError> {
        Err(RedisUrlError::Tls {
            reason: "the crate was built without its feature redis-tls".into(),
        })
    }

    /// Sets the path of the server's Unix socket, in place of an address.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl AsRef<Path>) -> Self {
        self.address = Address::Unix(path.as_ref().into());
        self
    }

    /// Sets the password of the server's default user. Default: none.
    pub fn password(mut self, password: &str) -> Self {
        self.login = Some(Login {
            username: None,
            password: password.into(),
        });
        self
    }

    /// Sets the user of the server's access control list, and its password. Default: none.
    pub fn user(mut self, username: &str, password: &str) -> Self {
        self.login = Some(Login {
            username: Some(username.into()),
            password: password.into(),
        });
        self
    }

    /// Sets the number of the database. Default: 0.
    pub fn database(mut self, number: u32) -> Self {
        self.database = number;
        self
    }

    /// Sets what all keys begin with. All nodes of a network must use the same. No other program
    /// may have such keys: values of another type are replaced. Default: `relay-registry:` and
    /// the tag of the network, with bytes that are not letters, digits, `-`, `.` or `_`
    /// percent-encoded.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.keys = Keys::new(prefix);
        self
    }

    /// Sets the number of shards of the directory, at most [`Limits::MAX_SHARDS`]; 0 for none.
    /// All nodes of a network must use the same: what a node with more shards writes, one with
    /// fewer does not read. A node reads all of a shard with up to 256 members, and 256 of a larger
    /// one: use more shards if each node is to know more relays than 256 times the shards.
    /// Default: 16.
    pub fn shards(mut self, shards: u16) -> Self {
        self.shards = shards;
        self
    }

    /// Sets how many members a shard may have. Then [`join`](crate::dht::RelayDht::join) is
    /// [`Full`](crate::dht::DhtError::Full). The writers check it, so it holds no writer back
    /// that does not. 0 for no bound, which is the default.
    pub fn max_members(mut self, members: u32) -> Self {
        self.max_members = members;
        self
    }

    /// Sets the maximum number of requests in flight, which is also that of connections, clamped
    /// to 1 to [`Limits::MAX_IN_FLIGHT`]. Default: 8.
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    /// Sets the interval at which records and memberships are written again, clamped to 1 second
    /// to 1 day: how long a record may be missing after the server has lost it. It does not
    /// lengthen what a record is valid for. Default: 5 minutes.
    pub fn refresh(mut self, refresh: Duration) -> Self {
        self.refresh = refresh;
        self
    }

    /// Sets whether registries [wait for changes](crate::dht::RelayDht::changed), each on one more
    /// thread and one more connection, so that they see at once that a relay joined, changed or
    /// withdrew. Default: true.
    pub fn watch(mut self, watches: bool) -> Self {
        self.watches = watches;
        self
    }

    /// Builds the engine. It connects when it is first used.
    #[must_use]
    pub fn build(self) -> Redis {
        let server = Server {
            transport: self.transport(),
            login: self.login,
            database: self.database,
        };
        let mut limits = Limits::new(MAX_VALUE_LEN, self.max_in_flight, self.refresh, self.shards);
        limits.watches = self.watches;
        Redis::from_parts(
            server,
            self.network,
            self.keys,
            limits.clamped(),
            self.max_members,
        )
    }

    fn transport(&self) -> Transport {
        match &self.address {
            Address::Tcp { host, port } => {
                let resolver = Resolver::new(host, *port);
                #[cfg(feature = "redis-tls")]
                if let Some(tls) = &self.tls {
                    return Transport::Tls(resolver, tls.clone());
                }
                Transport::Tcp(resolver)
            }
            #[cfg(unix)]
            Address::Unix(path) => Transport::Unix(path.clone()),
        }
    }
}

/// Does not show the password.
impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RedisBuilder");
        #[cfg(feature = "redis-tls")]
        shown.field("tls", &self.tls);
        shown
            .field("network", &self.network)
            .field("address", &self.address)
            .field("login", &self.login)
            .field("database", &self.database)
            .field("prefix", &self.keys.prefix())
            .field("shards", &self.shards)
            .field("max_members", &self.max_members)
            .field("max_in_flight", &self.max_in_flight)
            .field("refresh", &self.refresh)
            .field("watches", &self.watches)
            .finish()
    }
}
