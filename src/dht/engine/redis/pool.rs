//! [`Pool`]: connections to one server, made when they are needed and kept for the next request.

use std::time::Instant;

use ::redis::Value;

use super::connection::{Connection, Request, Server};
use super::failure::{Failure, is_of_replaced_server};
use crate::sync::unmodelled::Mutex;

/// At most as many connections as requests that are in flight at once: the caller bounds these.
pub(super) struct Pool {
    server: Server,
    /// The last used is the next to be used, so that few are in use where few are needed.
    idle: Mutex<Vec<Connection>>,
}

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
        let idle = self.idle.lock().pop();
        if let Some(connection) = idle {
            match self.call_on(connection, request, deadline) {
                Err(Failure::Closed) => self.forget_idle(),
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
        connection: Connection,
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
            _ => self.idle.lock().push(connection),
        }
        Ok(reply)
    }

    fn forget_idle(&self) {
        let closed = std::mem::take(&mut *self.idle.lock());
        drop(closed);
    }
}
