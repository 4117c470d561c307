//! [`Resolver`]: the addresses of the server, by a deadline.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Instant;

use crate::sync::Arc;
use crate::sync::unmodelled::{Condvar, Mutex, thread};

/// Resolves the name of one server.
///
/// The operating system's resolver cannot be given a deadline: it may take a minute if its name
/// servers are unreachable. So it runs on a thread of its own while it looks a name up, and callers
/// wait for it no longer than they may. There is at most one such thread.
pub(super) struct Resolver {
    host: Box<str>,
    port: u16,
    lookup: Arc<Lookup>,
}

#[derive(Default)]
struct Lookup {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    is_running: bool,
    /// The number of lookups that have ended: a caller needs one that ends after it came.
    ended: u64,
    /// What the last one found.
    found: Option<Vec<SocketAddr>>,
}

impl Resolver {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
            lookup: Arc::default(),
        }
    }

    #[cfg(feature = "redis-tls")]
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The addresses, at least one. An address needs no lookup.
    ///
    /// # Errors
    ///
    /// If there is no address, or none was found by `deadline`.
    pub(super) fn resolve(&self, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let mut state = self.lookup.state.lock();
        let before = state.ended;
        if !state.is_running {
            self.start()?;
            state.is_running = true;
        }
        while state.ended == before {
            if self
                .lookup
                .ended
                .wait_until(&mut state, deadline)
                .timed_out()
            {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        state
            .found
            .clone()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The thread waits for the lock, which the caller holds, before it reports.
    fn start(&self) -> io::Result<()> {
        let (host, port) = (self.host.clone(), self.port);
        let lookup = Arc::clone(&self.lookup);
        let resolve = move || {
            let found = (&*host, port).to_socket_addrs().ok();
            let found = found.map(Iterator::collect::<Vec<_>>);
            let mut state = lookup.state.lock();
            state.found = found.filter(|found| !found.is_empty());
            state.ended += 1;
            state.is_running = false;
            lookup.ended.notify_all();
        };
        let thread = thread::Builder::new().name("relay-resolver".into());
        thread.spawn(resolve).map(drop)
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_address_is_its_own_and_a_name_is_looked_up_each_time() {
        let soon = || Instant::now() + Duration::from_secs(60);
        let address = Resolver::new("::1", 7).resolve(Instant::now());
        let expected = SocketAddr::new("::1".parse().expect("an address"), 7);
        assert_eq!(address.expect("it needs no lookup"), [expected]);
        let name = Resolver::new("localhost", 7);
        for _ in 0..2 {
            let found = name.resolve(soon()).expect("every machine has it");
            assert!(found.iter().all(|found| found.ip().is_loopback()));
        }
        assert_eq!(name.lookup.state.lock().ended, 2);
        let none = Resolver::new("a\0b", 7).resolve(soon());
        assert_eq!(
            none.map_err(|error| error.kind()),
            Err(io::ErrorKind::NotFound)
        );
    }

    #[test]
    fn a_lookup_that_takes_too_long_is_not_waited_for_and_no_second_one_begins() {
        let resolver = Resolver::new("name.invalid", 7);
        // As if another caller's lookup ran.
        resolver.lookup.state.lock().is_running = true;
        let by = Instant::now() + Duration::from_millis(1);
        let late = resolver.resolve(by).map_err(|error| error.kind());
        assert_eq!(late, Err(io::ErrorKind::TimedOut));
        assert_eq!(resolver.lookup.state.lock().ended, 0);
    }
}
