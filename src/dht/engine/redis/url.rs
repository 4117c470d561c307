//! [`RedisUrlError`], and what a URL says of a server.

use std::error::Error;
use std::fmt;
#[cfg(unix)]
use std::path::PathBuf;

use ::redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, parse_redis_url};

use super::connection::Login;

/// What a URL says of a server.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: Address,
    pub(super) is_tls: bool,
    pub(super) login: Option<Login>,
    pub(super) database: u32,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp {
        host: Box<str>,
        port: u16,
    },
    #[cfg(unix)]
    Unix(PathBuf),
}

/// Why a URL names no Redis server. Has nothing of a password in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedisUrlError {
    /// It is no URL, or has another scheme than `redis`, `valkey`, `redis+unix`,
    /// `valkey+unix` or `unix`.
    NotRedis,
    /// It asks for TLS, by `rediss` or `valkeys`, and there is none: the crate was built without
    /// its feature `redis-tls`, or the operating system offers none.
    Tls {
        /// Why there is none.
        reason: Box<str>,
    },
    /// It names no host that can be connected to, or no path of a socket.
    NoAddress,
    /// The database is no number from 0 to 2^32 - 1.
    InvalidDatabase,
    /// The username or the password is not percent-encoded UTF-8, or there is a username
    /// without a password. In a password, `/`, `?`, `#`, `@`, `&` and `+` must be encoded.
    InvalidLogin,
    /// It has a parameter that means nothing here.
    UnknownParameter {
        /// The name of the parameter. Its value is left out.
        name: Box<str>,
    },
}

impl fmt::Display for RedisUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRedis => f.write_str(
                "this is not the URL of a Redis server, such as redis://host:6379/0 or unix:///path",
            ),
            Self::Tls { reason } => write!(f, "the URL asks for TLS: {reason}"),
            Self::NoAddress => f.write_str("the URL has no host to connect to, or no path"),
            Self::InvalidDatabase => {
                write!(f, "the database is not a number from 0 to {}", u32::MAX)
            }
            Self::InvalidLogin => f.write_str(
                "the username or the password is not percent-encoded UTF-8, or one is missing",
            ),
            Self::UnknownParameter { name } => {
                write!(f, "the URL has the unknown parameter {name:?}")
            }
        }
    }
}

impl Error for RedisUrlError {}

/// The maximum length of a parameter's name in an error, in characters.
const MAX_NAME: usize = 32;

/// Reads a URL: `redis://[[username]:password@]host[:port][/database]`, `rediss://` for TLS, or
/// `unix:///path[?db=database][&user=username][&pass=password]`.
pub(super) fn parse(url: &str) -> Result<Target, RedisUrlError> {
    let mut url = parse_redis_url(url).ok_or(RedisUrlError::NotRedis)?;
    let is_tls = matches!(url.scheme(), "rediss" | "valkeys");
    if is_tls {
        // The crate reads it so only with a TLS of its own.
        url.set_scheme("redis")
            .map_err(|()| RedisUrlError::NotRedis)?;
    }
    let is_unix = !matches!(url.scheme(), "redis" | "valkey");
    let after_address = [Some(url.path()), url.query(), url.fragment()];
    check_end(after_address, is_unix)?;
    let known: &[&str] = if is_unix {
        &["db", "user", "pass"]
    } else {
        &[]
    };
    let mut has_password = false;
    let mut database = (!is_unix).then(|| url.path().trim_matches('/').to_owned());
    for (name, value) in url.query_pairs() {
        if !known.contains(&&*name) {
            // It may be the rest of a password with `&` in it.
            if has_password {
                return Err(RedisUrlError::InvalidLogin);
            }
            let name = name.chars().take(MAX_NAME).collect();
            return Err(RedisUrlError::UnknownParameter { name });
        }
        has_password |= name == "pass";
        if name == "db" {
            database = Some(value.into_owned());
        }
    }
    let database = match database.as_deref() {
        None | Some("") => 0,
        Some(number) => number.parse().map_err(|_| RedisUrlError::InvalidDatabase)?,
    };
    if !is_unix && url.host().is_none() {
        return Err(RedisUrlError::NoAddress);
    }
    // The crate decodes the login last.
    let is_at_login = !is_unix && (!url.username().is_empty() || url.password().is_some());
    let info = url.into_connection_info().map_err(|_| match is_at_login {
        true => RedisUrlError::InvalidLogin,
        false => RedisUrlError::NoAddress,
    })?;
    Ok(Target {
        address: address(&info)?,
        is_tls,
        login: login(&info)?,
        database,
    })
}

/// Refuses what follows the address if it may be the rest of a login that is not encoded, as in
/// `redis://user:12#34@host`: else a part of it would be the host, or be shown in an error.
fn check_end(
    [path, query, fragment]: [Option<&str>; 3],
    is_unix: bool,
) -> Result<(), RedisUrlError> {
    let mut parts = [path, query, fragment].into_iter().flatten();
    if !is_unix && parts.any(|part| part.contains('@')) {
        Err(RedisUrlError::InvalidLogin)
    } else if fragment.is_some() {
        Err(RedisUrlError::NotRedis)
    } else {
        Ok(())
    }
}

fn address(info: &ConnectionInfo) -> Result<Address, RedisUrlError> {
    match info.addr() {
        ConnectionAddr::Tcp(host, port) => Ok(Address::Tcp {
            host: host.as_str().into(),
            port: *port,
        }),
        #[cfg(unix)]
        ConnectionAddr::Unix(path) => Ok(Address::Unix(path.clone())),
        _ => Err(RedisUrlError::NoAddress),
    }
}

fn login(info: &ConnectionInfo) -> Result<Option<Login>, RedisUrlError> {
    let settings = info.redis_settings();
    match (settings.username(), settings.password()) {
        (None, None) => Ok(None),
        (username, Some(password)) => Ok(Some(Login {
            username: username.map(Into::into),
            password: password.into(),
        })),
        (Some(_), None) => Err(RedisUrlError::InvalidLogin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp {
            host: host.into(),
            port,
        }
    }

    fn login_of(target: &Target) -> Option<(Option<&str>, &str)> {
        let login = target.login.as_ref()?;
        Some((login.username.as_deref(), &login.password))
    }

    #[test]
    fn a_url_says_where_the_server_is_and_who_connects() {
        for (url, address, login, database) in [
            ("redis://localhost", tcp("localhost", 6379), None, 0),
            ("redis://10.0.0.5:7000/3", tcp("10.0.0.5", 7000), None, 3),
            ("valkey://[::1]/", tcp("::1", 6379), None, 0),
            (
                "redis://:s%40cret@db",
                tcp("db", 6379),
                Some((None, "s@cret")),
                0,
            ),
            (
                "redis://relay:secret@db/1",
                tcp("db", 6379),
                Some((Some("relay"), "secret")),
                1,
            ),
        ] {
            let target = parse(url).expect(url);
            assert_eq!(target.address, address, "{url}");
            assert_eq!(login_of(&target), login, "{url}");
            assert_eq!(target.database, database, "{url}");
        }
    }

    #[test]
    fn a_url_may_ask_for_tls() {
        for (url, expected) in [
            ("rediss://:s%40cret@db:7000/3", true),
            ("valkeys://:s%40cret@db:7000/3", true),
            ("redis://:s%40cret@db:7000/3", false),
        ] {
            let target = parse(url).expect(url);
            assert_eq!(target.is_tls, expected, "{url}");
            assert_eq!(target.address, tcp("db", 7000), "{url}");
            assert_eq!(login_of(&target), Some((None, "s@cret")), "{url}");
            assert_eq!(target.database, 3, "{url}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_url_may_name_a_socket() {
        let plain = parse("unix:///run/redis.sock").expect("a path");
        assert_eq!(plain.address, Address::Unix("/run/redis.sock".into()));
        assert_eq!((login_of(&plain), plain.database), (None, 0));
        let all = parse("redis+unix:///a%20b?db=2&user=relay&pass=s%26t").expect("a path");
        assert_eq!(all.address, Address::Unix("/a b".into()));
        assert_eq!(login_of(&all), Some((Some("relay"), "s&t")));
        assert_eq!(all.database, 2);
    }

    #[test]
    fn a_bad_url_is_rejected_with_what_is_bad_and_without_the_password() {
        let unknown = |name: &str| RedisUrlError::UnknownParameter { name: name.into() };
        for (url, expected) in [
            ("", RedisUrlError::NotRedis),
            ("localhost:6379", RedisUrlError::NotRedis),
            ("http://:secret@host", RedisUrlError::NotRedis),
            ("redis://:secret@host:port", RedisUrlError::NotRedis),
            ("rediss:///1", RedisUrlError::NoAddress),
            ("rediss://host#insecure", RedisUrlError::NotRedis),
            ("redis:///1", RedisUrlError::NoAddress),
            ("redis://0.0.0.0", RedisUrlError::NoAddress),
            ("redis://:secret@host/one", RedisUrlError::InvalidDatabase),
            ("redis://:secret@host/-1", RedisUrlError::InvalidDatabase),
            ("redis://host/4294967296", RedisUrlError::InvalidDatabase),
            ("redis://:secret%ff@host", RedisUrlError::InvalidLogin),
            ("redis://relay@host", RedisUrlError::InvalidLogin),
            ("redis://host?protocol=resp3", unknown("protocol")),
            ("redis://:secret@host?pass=secret", unknown("pass")),
            ("redis://relay:7#secret@host", RedisUrlError::InvalidLogin),
            ("redis://relay:7?secret@host", RedisUrlError::InvalidLogin),
            ("redis://relay:7/secret@host", RedisUrlError::InvalidLogin),
            ("redis://host/0#secret", RedisUrlError::NotRedis),
            #[cfg(unix)]
            ("unix:///a?pass=my&secret", RedisUrlError::InvalidLogin),
            #[cfg(unix)]
            ("unix:///a#secret", RedisUrlError::NotRedis),
            #[cfg(unix)]
            ("unix:///a?db=x&pass=secret", RedisUrlError::InvalidDatabase),
        ] {
            let error = parse(url).map(|_| ()).expect_err(url);
            assert_eq!(error, expected, "{url}");
            assert!(!format!("{error:?} {error}").contains("secret"));
        }
    }

    #[test]
    fn a_login_does_not_show_its_password() {
        let target = parse("redis://relay:secret@host").expect("a URL");
        let shown = format!("{target:?}");
        assert!(
            shown.contains("relay") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
