//! [`Socket`] and [`Exchange`]: bytes to and from the server, none of them after a deadline.
//!
//! The crate's own connection takes a timeout for each read. A server that sends a byte at a
//! time would hold a call for as long as it likes, and a reply may be of any length. So the
//! sockets are ours, and only what is sent over them is the crate's.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
#[cfg(unix)]
use std::os::unix::net::UnixStream;
#[cfg(unix)]
use std::path::Path;
use std::time::{Duration, Instant};

/// A connected socket.
pub(super) enum Socket {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
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
        Ok(Self::Tcp(stream))
    }

    #[cfg(unix)]
    pub(super) fn connect_unix(path: &Path, deadline: Instant) -> io::Result<Self> {
        use socket2::{Domain, SockAddr, Type};

        // `UnixStream::connect` takes no timeout, and waits while the server's backlog is full.
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.connect_timeout(&SockAddr::unix(path)?, time_left(deadline)?)?;
        let stream = UnixStream::from(std::os::fd::OwnedFd::from(socket));
        Ok(Self::Unix(stream))
    }

    fn read(&self, buffer: &mut [u8], timeout: Duration) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                (&mut &*stream).read(buffer)
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(timeout))?;
                (&mut &*stream).read(buffer)
            }
        }
    }

    fn write(&self, bytes: &[u8], timeout: Duration) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => {
                stream.set_write_timeout(Some(timeout))?;
                (&mut &*stream).write(bytes)
            }
            #[cfg(unix)]
            Self::Unix(stream) => {
                stream.set_write_timeout(Some(timeout))?;
                (&mut &*stream).write(bytes)
            }
        }
    }
}

/// One request and its reply on a socket.
pub(super) struct Exchange<'a> {
    socket: &'a Socket,
    deadline: Instant,
    /// How many bytes more the reply may have.
    left: usize,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(socket: &'a Socket, deadline: Instant, max_reply: usize) -> Self {
        Self {
            socket,
            deadline,
            left: max_reply,
        }
    }

    /// Whether the reply was longer than it may be.
    pub(super) fn is_exhausted(&self) -> bool {
        self.left == 0
    }

    /// Repeats a call that a signal interrupted, until the deadline.
    fn retry(&self, mut call: impl FnMut(Duration) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match call(time_left(self.deadline)?) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Read for Exchange<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = buffer.len().min(self.left);
        if len == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let buffer = &mut buffer[..len];
        let read = self.retry(|left| self.socket.read(buffer, left))?;
        self.left -= read;
        Ok(read)
    }
}

impl Write for Exchange<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.retry(|left| self.socket.write(bytes, left))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The time until `deadline`, more than none.
fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
