//! [`RedisTls`], and [`TlsStream`]: a socket on which the server is authenticated.

use std::error::Error;
use std::fmt;
use std::io::{self, Read, Write};

use native_tls::{Certificate, HandshakeError, Identity, Protocol, TlsConnector};

use super::failure::Failure;
use super::stream::Socket;
use crate::dht::engine::DhtError;

/// How a [`Redis`](super::Redis) authenticates its server by TLS, and this node to the server.
///
/// The TLS is that of the operating system: OpenSSL on Linux, Schannel on Windows, Secure Transport
/// on Apple's. Version 1.2 or later is used. The certificate of the server must be valid, be issued
/// by a trusted root, and name the host; there is no way to switch this off. For a certificate of
/// your own authority, or a self-signed one, give its root.
///
/// ```
/// # use relay_registry::dht::RedisTls;
/// let tls = RedisTls::builder().build()?; // the roots that the operating system trusts
/// # Ok::<(), relay_registry::dht::RedisTlsError>(())
/// ```
///
/// With an authority of your own, and a certificate for this node:
///
/// ```no_run
/// # use relay_registry::dht::{Network, Redis, RedisTls};
/// # use std::fs;
/// let tls = RedisTls::builder()
///     .root_certificates(&fs::read("/etc/relay/ca.pem")?)
///     .system_roots(false)
///     .identity(&fs::read("/etc/relay/node.pem")?, &fs::read("/etc/relay/node.key")?)
///     .build()?;
/// let dht = Redis::builder(Network::new(b"my-app")?)
///     .url("rediss://relay:password@redis.internal:6380")?
///     .tls(tls)
///     .build();
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RedisTls {
    connector: TlsConnector,
    server_name: Option<Box<str>>,
}

impl RedisTls {
    /// A builder that trusts the operating system's roots, and has no certificate for this node.
    pub fn builder() -> RedisTlsBuilder {
        RedisTlsBuilder {
            roots: Vec::new(),
            has_system_roots: true,
            identity: None,
            server_name: None,
        }
    }

    /// Authenticates the server at `host`, by the deadline of the socket.
    pub(super) fn connect(&self, host: &str, socket: Socket) -> Result<TlsStream, Failure> {
        let name = self.server_name.as_deref().unwrap_or(host);
        match self.connector.connect(name, socket) {
            Ok(stream) => Ok(TlsStream(stream)),
            Err(HandshakeError::WouldBlock(_)) => Err(Failure::TimedOut),
            Err(HandshakeError::Failure(error)) => Err(handshake_failure(&error)),
        }
    }
}

/// Shows neither certificates nor keys.
impl fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Builds a [`RedisTls`]; see [`RedisTls::builder`].
#[must_use = "a builder does nothing until it builds"]
pub struct RedisTlsBuilder {
    roots: Vec<Vec<u8>>,
    has_system_roots: bool,
    /// A chain of certificates, and the key of the first.
    identity: Option<(Vec<u8>, Vec<u8>)>,
    server_name: Option<Box<str>>,
}

impl RedisTlsBuilder {
    /// Adds certificates that a server's may be issued by, in PEM: one or more.
    pub fn root_certificates(mut self, pem: &[u8]) -> Self {
        self.roots.push(pem.into());
        self
    }

    /// Sets whether the operating system's roots are trusted, too. Default: true.
    pub fn system_roots(mut self, are_trusted: bool) -> Self {
        self.has_system_roots = are_trusted;
        self
    }

    /// Sets the certificate of this node, for a server that asks for one (`tls-auth-clients`), in
    /// PEM: first that of the node, then those it is issued by, without the root; and its key, in
    /// PKCS #8 (`BEGIN PRIVATE KEY`). Default: none.
    pub fn identity(mut self, chain: &[u8], key: &[u8]) -> Self {
        self.identity = Some((chain.into(), key.into()));
        self
    }

    /// Sets the name that the server's certificate must have. Default: the host that the engine
    /// connects to.
    pub fn server_name(mut self, name: &str) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// Reads the certificates and the key.
    ///
    /// # Errors
    ///
    /// A [`RedisTlsError`] that says which of them is wrong, without the key.
    pub fn build(self) -> Result<RedisTls, RedisTlsError> {
        let mut builder = TlsConnector::builder();
        builder
            .min_protocol_version(Some(Protocol::Tlsv12))
            .disable_built_in_roots(!self.has_system_roots);
        for pem in &self.roots {
            for root in roots_of(pem)? {
                builder.add_root_certificate(root);
            }
        }
        if let Some((chain, key)) = &self.identity {
            let identity = Identity::from_pkcs8(chain, key);
            builder.identity(identity.map_err(|error| RedisTlsError::invalid_identity(&error))?);
        }
        let connector = builder.build().map_err(|error| match self.identity {
            // The key is not that of the certificate.
            Some(_) => RedisTlsError::invalid_identity(&error),
            None => RedisTlsError::Unavailable {
                reason: error.to_string().into(),
            },
        })?;
        Ok(RedisTls {
            connector,
            server_name: self.server_name,
        })
    }
}

/// Shows neither certificates nor keys.
impl fmt::Debug for RedisTlsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTlsBuilder")
            .field("has_system_roots", &self.has_system_roots)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

fn roots_of(pem: &[u8]) -> Result<Vec<Certificate>, RedisTlsError> {
    let invalid = |reason: String| RedisTlsError::InvalidRoot {
        reason: reason.into(),
    };
    let roots = Certificate::stack_from_pem(pem).map_err(|error| invalid(error.to_string()))?;
    if roots.is_empty() {
        return Err(invalid("there is no certificate in it".into()));
    }
    Ok(roots)
}

/// Why there is no [`RedisTls`]. The reasons are of the operating system's library.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisTlsError {
    /// The root certificates are not one or more certificates in PEM.
    InvalidRoot {
        /// What is wrong with them.
        reason: Box<str>,
    },
    /// The certificate of this node is not in PEM, its key is not in PKCS #8, or the key belongs
    /// to another certificate.
    InvalidIdentity {
        /// What is wrong with it. Has nothing of the key.
        reason: Box<str>,
    },
    /// The operating system offers no TLS.
    Unavailable {
        /// Why.
        reason: Box<str>,
    },
}

impl RedisTlsError {
    fn invalid_identity(error: &native_tls::Error) -> Self {
        Self::InvalidIdentity {
            reason: error.to_string().into(),
        }
    }
}

impl fmt::Display for RedisTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRoot { reason } => write!(
                f,
                "the root certificates are not one or more certificates in PEM: {reason}"
            ),
            Self::InvalidIdentity { reason } => write!(
                f,
                "the identity is not a certificate in PEM with its key in PKCS #8: {reason}"
            ),
            Self::Unavailable { reason } => {
                write!(f, "the operating system offers no TLS: {reason}")
            }
        }
    }
}

impl Error for RedisTlsError {}

/// A socket on which the server is authenticated.
pub(super) struct TlsStream(native_tls::TlsStream<Socket>);

impl TlsStream {
    pub(super) fn socket(&mut self) -> &mut Socket {
        self.0.get_mut()
    }
}

impl Read for TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(marked)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes).map_err(marked)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why the server was not authenticated: it is another one or speaks no TLS, unless the socket
/// broke.
fn handshake_failure(error: &native_tls::Error) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(next) = cause {
        if next.is::<io::Error>() {
            return Failure::Unreachable;
        }
        cause = next.source();
    }
    Failure::Answered(refused(error))
}

/// Marks the errors of TLS itself, such as that the server wants a certificate. Those of the socket
/// have kinds of their own.
fn marked(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::Other => io::Error::new(io::ErrorKind::InvalidData, error),
        _ => error,
    }
}

/// An error of TLS for an operator, who has to change something.
pub(super) fn refused(error: &dyn fmt::Display) -> DhtError {
    DhtError::rejected(&format!("TLS: {}", shortened(&error.to_string())))
}

/// The reason in an error of OpenSSL, and why a certificate is not valid:
/// `error:<code>:<library>:<function>:<reason>:<file>:<line>:<details> (<why>)`. Texts of other
/// libraries stay as they are.
fn shortened(text: &str) -> String {
    let reason = text
        .strip_prefix("error:")
        .and_then(|rest| rest.split(':').nth(3));
    match (reason, text.rsplit_once(": (")) {
        (Some(reason), Some((_, why))) => format!("{reason} ({why}"),
        (Some(reason), None) => reason.into(),
        (None, _) => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_openssl_is_shortened_to_what_an_operator_needs() {
        let verify =
            "error:0A000086:SSL routines:f:certificate verify failed:a/b.c:18: (IP mismatch)";
        assert_eq!(shortened(verify), "certificate verify failed (IP mismatch)");
        let alert = "error:0A00045C:SSL routines:f:alert certificate required:c.c:16:SSL alert 116";
        assert_eq!(shortened(alert), "alert certificate required");
        for other in [
            "the certificate has expired: (x)",
            "error:",
            "error:1:2",
            "",
        ] {
            assert_eq!(shortened(other), other);
        }
    }
}
