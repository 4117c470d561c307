//! [`Stream`] and [`Socket`]: bytes to and from the server, none of them after a deadline.
//!
//! The crate's own connection takes a timeout for each read. A server that sends a byte at a
//! time would hold a call for as long as it likes. So the sockets are ours.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
#[cfg(unix)]
use std::path::Path;
use std::time::{Duration, Instant};

/// A connection to the server, encrypted or not.
pub(super) enum Stream {
    Plain(Socket),
    #[cfg(feature = "redis-tls")]
    Tls(Box<super::tls::TlsStream>),
}

impl Stream {
    /// Reads and writes until `deadline`. After it, they fail with `WouldBlock`.
    pub(super) fn until(&mut self, deadline: Instant) -> &mut Self {
        let socket = match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "redis-tls")]
            Self::Tls(stream) => stream.socket(),
        };
        socket.deadline = deadline;
        self
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            #[cfg(feature = "redis-tls")]
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "redis-tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Socket {
    socket: socket2::Socket,
    deadline: Instant,
}

impl Socket {
    /// Connects to the first of the `addresses` that accepts. Each gets an equal share of the
    /// time that is left, so an address that drops packets does not use up the others' time.
    pub(super) fn connect(addresses: &[SocketAddr], deadline: Instant) -> io::Result<Self> {
        let mut result = Err(io::ErrorKind::NotFound.into());
        for (address, remaining) in addresses.iter().zip((1..=addresses.len()).rev()) {
            let shares = u32::try_from(remaining).unwrap_or(u32::MAX);
            result = time_left(deadline).and_then(|left| {
                TcpStream::connect_timeout(address, (left / shares).max(Duration::from_micros(1)))
            });
            if result.is_ok() {
                break;
            }
        }
        let stream = result?;
        // A request is one write: waiting for more would only delay it.
        stream.set_nodelay(true)?;
        let socket = stream.into();
        Ok(Self { socket, deadline })
    }

    #[cfg(unix)]
    pub(super) fn connect_unix(path: &Path, deadline: Instant) -> io::Result<Self> {
        use socket2::{Domain, SockAddr, Type};

        // `UnixStream::connect` takes no timeout, and waits while the server's backlog is full.
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.connect_timeout(&SockAddr::unix(path)?, time_left(deadline)?)?;
        Ok(Self { socket, deadline })
    }

    /// Repeats a call that a signal interrupted, until the deadline.
    fn retry(
        &mut self,
        mut call: impl FnMut(&mut socket2::Socket, Duration) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match call(&mut self.socket, time_left(self.deadline)?) {
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    // What some systems call it. TLS goes on after the other.
                    io::ErrorKind::TimedOut => return Err(io::ErrorKind::WouldBlock.into()),
                    _ => return Err(error),
                },
                result => return result,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.retry(|socket, left| {
            socket.set_read_timeout(Some(left))?;
            match socket.read(buffer)? {
                // TLS tells this from its own errors only as an error of the socket.
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            }
        })
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(|socket, left| {
            socket.set_write_timeout(Some(left))?;
            socket.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time until `deadline`, more than none.
fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(left)
}
