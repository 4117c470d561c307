//! [`Connection`]: a socket to the server on which this client is authenticated.

use std::fmt;
use std::io::Write;
#[cfg(unix)]
use std::path::PathBuf;
use std::time::Instant;

use ::redis::{Cmd, ServerError, Value, cmd};

use super::failure::{Failure, dht_error, transient_error};
use super::resolver::Resolver;
use super::resp::read_reply;
use super::stream::{Socket, Stream};
#[cfg(feature = "redis-tls")]
use super::tls::RedisTls;
use crate::dht::engine::DhtError;

/// The server, and how to authenticate to it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) transport: Transport,
    pub(super) login: Option<Login>,
    pub(super) database: u32,
}

/// How the server is reached.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(Resolver),
    #[cfg(feature = "redis-tls")]
    Tls(Resolver, RedisTls),
    #[cfg(unix)]
    Unix(PathBuf),
}

impl Transport {
    fn connect(&self, deadline: Instant) -> Result<Stream, Failure> {
        match self {
            Self::Tcp(resolver) => connect(resolver, deadline).map(Stream::Plain),
            #[cfg(feature = "redis-tls")]
            Self::Tls(resolver, tls) => {
                let socket = connect(resolver, deadline)?;
                let stream = tls.connect(resolver.host(), socket)?;
                Ok(Stream::Tls(Box::new(stream)))
            }
            #[cfg(unix)]
            Self::Unix(path) => Socket::connect_unix(path, deadline)
                .map(Stream::Plain)
                .map_err(|_| Failure::Unreachable),
        }
    }
}

fn connect(resolver: &Resolver, deadline: Instant) -> Result<Socket, Failure> {
    resolver
        .resolve(deadline)
        .and_then(|addresses| Socket::connect(&addresses, deadline))
        .map_err(|_| Failure::Unreachable)
}

/// A user of the server.
#[derive(Clone)]
pub(super) struct Login {
    /// The server's default user if there is none.
    pub(super) username: Option<Box<str>>,
    pub(super) password: Box<str>,
}

/// Does not show the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// A request as it is sent.
pub(super) struct Request {
    bytes: Vec<u8>,
    max_reply: usize,
}

impl Request {
    /// `max_reply` bounds the reply, in bytes.
    pub(super) fn new(command: &Cmd, max_reply: usize) -> Self {
        Self {
            bytes: command.get_packed_command(),
            max_reply,
        }
    }
}

/// The maximum length of a reply without records, in bytes.
const MAX_SHORT_REPLY: usize = 16 * 1_024;

pub(super) struct Connection {
    stream: Stream,
    opened: Instant,
    is_primary: bool,
}

impl Connection {
    /// The stream, for messages that are no replies.
    pub(super) fn into_stream(self) -> Stream {
        self.stream
    }

    /// Connects and authenticates.
    pub(super) fn open(server: &Server, deadline: Instant) -> Result<Self, Failure> {
        let mut connection = Self {
            stream: server.transport.connect(deadline)?,
            opened: Instant::now(),
            is_primary: false,
        };
        connection.say_hello(server.login.as_ref(), deadline)?;
        if server.database > 0 {
            connection.select(server.database, deadline)?;
        }
        Ok(connection)
    }

    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Whether the server was no replica when the connection was made.
    pub(super) fn is_primary(&self) -> bool {
        self.is_primary
    }

    /// Sends a request and reads its reply, which may be an error of the server. After a
    /// failure, the connection must be dropped: the reply may yet arrive.
    pub(super) fn exchange(
        &mut self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Value, Failure> {
        let stream = self.stream.until(deadline);
        let written = stream.write_all(&request.bytes);
        match (written, read_reply(stream, request.max_reply)) {
            (Ok(()), reply) => reply,
            // A server that refuses a client says so before it closes the connection.
            (Err(_), Ok(refusal @ Value::ServerError(_))) => Ok(refusal),
            (Err(_), Err(refusal @ Failure::Answered(_))) => Err(refusal),
            (Err(error), _) => Err(Failure::of_io(&error)),
        }
    }

    fn say_hello(&mut self, login: Option<&Login>, deadline: Instant) -> Result<(), Failure> {
        let mut hello = cmd("HELLO");
        hello.arg(2);
        if let Some(login) = login {
            let username = login.username.as_deref().unwrap_or("default");
            hello.arg("AUTH").arg(username).arg(&*login.password);
        }
        let fields = match self.exchange(&Request::new(&hello, MAX_SHORT_REPLY), deadline)? {
            Value::ServerError(error) => return Err(Failure::Answered(hello_error(&error))),
            Value::Array(fields) => fields,
            _ => return Err(malformed("it did not greet as a Redis server does")),
        };
        match field(&fields, "mode") {
            Some(b"cluster") => return Err(malformed("it is a node of a Redis Cluster")),
            Some(b"sentinel") => return Err(malformed("it is a Redis Sentinel")),
            _ => {}
        }
        self.is_primary = field(&fields, "role") == Some(b"master");
        Ok(())
    }

    fn select(&mut self, database: u32, deadline: Instant) -> Result<(), Failure> {
        let mut select = cmd("SELECT");
        select.arg(database);
        match self.exchange(&Request::new(&select, MAX_SHORT_REPLY), deadline)? {
            Value::Okay => Ok(()),
            Value::ServerError(error) if error.code() == "ERR" => {
                Err(malformed(&format!("it has no database {database}")))
            }
            Value::ServerError(error) => Err(Failure::Answered(dht_error(&error))),
            _ => Err(malformed("it did not select the database")),
        }
    }
}

/// The value of a field in a list of names and values.
fn field<'a>(fields: &'a [Value], name: &str) -> Option<&'a [u8]> {
    let pair = fields
        .chunks_exact(2)
        .find(|pair| bytes_of(&pair[0]) == Some(name.as_bytes()))?;
    bytes_of(&pair[1])
}

pub(super) fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// What the server or its reply is, and should not be.
pub(super) fn malformed(what: &str) -> Failure {
    Failure::Answered(DhtError::rejected(what))
}

/// Words of our own: some servers repeat the arguments of a request that they do not know, and
/// here these have the password.
fn hello_error(error: &ServerError) -> DhtError {
    if let Some(error) = transient_error(error) {
        return error;
    }
    DhtError::rejected(match error.code() {
        "WRONGPASS" => "WRONGPASS: the username or the password is wrong, or the user is disabled",
        "NOAUTH" => "NOAUTH: the server wants a password",
        "NOPERM" => "NOPERM: the user may not connect",
        "NOPROTO" => "NOPROTO: the server does not speak RESP2",
        "DENIED" => "DENIED: the server is in protected mode, and accepts local connections only",
        "ERR" => "ERR: the server does not take HELLO with AUTH, which Redis has since version 6",
        _ => "the server refused the connection",
    })
}
