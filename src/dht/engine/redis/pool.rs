//! [`Pool`]: connections to one server, made when they are needed and kept for the next request.

use std::time::{Duration, Instant};

use ::redis::Value;

use super::connection::{Connection, Request, Server};
use super::failure::{Failure, is_of_replaced_server};
use crate::sync::unmodelled::Mutex;

/// At most as many connections as requests that are in flight at once: the caller bounds these.
pub(super) struct Pool {
    server: Server,
    /// With when each was used. The last used is the next to be used, so that few are in use where
    /// few are needed.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

/// Connections that were not used for so long are closed: a router or a firewall on the way may
/// have forgotten them, and then no reply comes.
const MAX_IDLE: Duration = Duration::from_secs(120);

/// Connections that were made so long ago are closed, too. The name of the server may mean another
/// one by now, and a server that was a primary may be a replica, which a node that only reads
/// learns from no error.
const MAX_AGE: Duration = Duration::from_secs(600);

/// The reply of the server, which may be an error.
pub(super) struct Reply {
    pub(super) value: Value,
    /// Whether it is of a primary, which has what was written last.
    pub(super) is_of_primary: bool,
}

impl Pool {
    pub(super) fn new(server: Server) -> Self {
        Self {
            server,
            idle: Mutex::new(Vec::new()),
        }
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }

    /// Sends `request` and waits for its reply.
    ///
    /// If an idle connection turns out to be closed, as all are after the server has restarted,
    /// then the request is sent once more on a new one. The server may then have it twice, so it
    /// must be one that may be repeated.
    pub(super) fn call(&self, request: &Request, deadline: Instant) -> Result<Reply, Failure> {
        if let Some(connection) = self.take_idle(Instant::now()) {
            match self.call_on(connection, request, deadline) {
                Err(Failure::Closed) => self.forget_idle(),
                Err(Failure::TimedOut) => {
                    // The others may lead nowhere, too, and would cost a deadline each.
                    self.forget_idle();
                    return Err(Failure::TimedOut);
                }
                result => return result,
            }
        }
        let connection = Connection::open(&self.server, deadline)?;
        self.call_on(connection, request, deadline)
    }

    /// Keeps the connection only if its reply has come: else it may come later, and be taken for
    /// that of another request.
    fn call_on(
        &self,
        mut connection: Connection,
        request: &Request,
        deadline: Instant,
    ) -> Result<Reply, Failure> {
        let value = connection.exchange(request, deadline)?;
        let reply = Reply {
            value,
            is_of_primary: connection.is_primary(),
        };
        match &reply.value {
            Value::ServerError(error) if is_of_replaced_server(error) => self.forget_idle(),
            _ => self.idle.lock().push((connection, Instant::now())),
        }
        Ok(reply)
    }

    fn take_idle(&self, now: Instant) -> Option<Connection> {
        let (connection, used) = self.idle.lock().pop()?;
        let is_within = |since, max| now.saturating_duration_since(since) < max;
        if is_within(used, MAX_IDLE) && is_within(connection.opened(), MAX_AGE) {
            return Some(connection);
        }
        // The others have been idle for longer.
        self.forget_idle();
        None
    }

    fn forget_idle(&self) {
        let closed = std::mem::take(&mut *self.idle.lock());
        drop(closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dht::engine::redis::connection::Transport;
    use crate::dht::engine::redis::resolver::Resolver;
    use crate::sync::unmodelled::thread;
    use ::redis::cmd;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// A server that answers everything with an empty list, which is a greeting without a role.
    fn pool() -> Pool {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    while stream.read(&mut [0; 1_024]).is_ok_and(|read| read > 0) {
                        let _ = stream.write_all(b"*0\r\n");
                    }
                });
            }
        });
        Pool::new(Server {
            transport: Transport::Tcp(Resolver::new("127.0.0.1", port)),
            login: None,
            database: 0,
        })
    }

    #[test]
    fn a_connection_is_used_again_unless_it_was_idle_for_long_or_is_old() {
        let pool = pool();
        let call = || {
            let deadline = Instant::now() + Duration::from_secs(60);
            let reply = pool.call(&Request::new(&cmd("PING"), 100), deadline);
            assert_eq!(reply.expect("it answers").value, Value::Array(vec![]));
            pool.idle.lock().len()
        };
        assert_eq!((call(), call()), (1, 1));
        assert!(pool.take_idle(Instant::now()).is_some());
        for (used, at) in [(Duration::ZERO, MAX_IDLE), (MAX_AGE, MAX_AGE)] {
            call();
            let (last, _) = pool.idle.lock().pop().expect("it is kept");
            let now = Instant::now();
            pool.idle.lock().push((last, now + used));
            assert!(pool.take_idle(now + at).is_none());
            assert!(pool.idle.lock().is_empty(), "it is closed");
        }
    }
}
