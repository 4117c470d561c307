//! [`Failure`]: why a request has no reply, and what the server's errors mean.

use std::io;

use ::redis::ServerError;

use crate::dht::engine::DhtError;

/// Why a request has no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The deadline passed. The server may have the request.
    TimedOut,
    /// There is no connection, and the server has not had the request.
    Unreachable,
    /// The connection ended. The server may have had the request.
    Closed,
    /// The server refused the request, or what it sent is no reply.
    Answered(DhtError),
}

impl Failure {
    pub(super) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::TimedOut,
            #[cfg(feature = "redis-tls")]
            io::ErrorKind::InvalidData => Self::Answered(super::tls::refused(error)),
            _ => Self::Closed,
        }
    }
}

impl From<Failure> for DhtError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::TimedOut => Self::Timeout,
            Failure::Unreachable | Failure::Closed => Self::Unreachable,
            Failure::Answered(error) => error,
        }
    }
}

/// What the server is short of now, by the first word of its error.
const TRANSIENT: [&str; 9] = [
    "OOM",
    "LOADING",
    "MISCONF",
    "READONLY",
    "MASTERDOWN",
    "NOREPLICAS",
    "BUSY",
    "TRYAGAIN",
    "CLUSTERDOWN",
];

/// The error of an engine for one of the server. Its text never has what was sent to
/// authenticate.
pub(super) fn dht_error(error: &ServerError) -> DhtError {
    from_text(error.code(), error.details().unwrap_or_default())
}

fn from_text(code: &str, details: &str) -> DhtError {
    let (code, details) = innermost(code, details);
    let text = format!("{code} {details}");
    if TRANSIENT.contains(&code) {
        DhtError::unavailable(&text)
    } else {
        DhtError::rejected(&text)
    }
}

/// The error of a server that refuses a connection for now, in words that have nothing of what
/// was sent.
pub(super) fn transient_error(error: &ServerError) -> Option<DhtError> {
    const TOO_MANY_CLIENTS: &str = "max number of clients";
    let is_full = error
        .details()
        .is_some_and(|details| details.starts_with(TOO_MANY_CLIENTS));
    if is_full {
        return Some(DhtError::unavailable("it has too many clients: maxclients"));
    }
    let code = TRANSIENT.iter().find(|&&code| code == error.code())?;
    Some(DhtError::unavailable(code))
}

/// The error of a command within a script, as its first word and the rest.
///
/// Servers before Redis 7 wrap it, as in
/// `ERR Error running script (call to f_1f): @user_script:9: -OOM command not allowed`. Redis 7
/// appends the hash of the script, and has words of its own if a right is missing.
fn innermost<'a>(code: &'a str, details: &'a str) -> (&'a str, &'a str) {
    let wrapped = details
        .starts_with("Error running script")
        .then(|| details.rsplit_once(": -"))
        .flatten();
    let (code, details) = match wrapped {
        Some((_, error)) => error.split_once(' ').unwrap_or((error, "")),
        None => (code, details),
    };
    let details = details
        .split_once(" script: ")
        .map_or(details, |(details, _)| details);
    if code == "ERR" && details.starts_with("The user executing the script") {
        return ("NOPERM", details);
    }
    (code, details)
}

/// Whether the server does not know a script by its hash.
pub(super) fn is_unknown_script(error: &ServerError) -> bool {
    error.code() == "NOSCRIPT"
}

/// Whether a key holds another type than this engine writes.
pub(super) fn is_wrong_type(error: &ServerError) -> bool {
    error.code() == "WRONGTYPE"
}

/// Whether another server may answer at the same address soon, so that connections to this one
/// are of no use.
pub(super) fn is_of_replaced_server(error: &ServerError) -> bool {
    matches!(error.code(), "READONLY" | "MASTERDOWN" | "LOADING")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::redis::{Value, parse_redis_value};

    /// The error that this line of a server is.
    fn error(line: &str) -> ServerError {
        match parse_redis_value(format!("-{line}\r\n").as_bytes()) {
            Ok(Value::ServerError(error)) => error,
            other => panic!("{line} is no error: {other:?}"),
        }
    }

    #[test]
    fn what_the_server_is_short_of_is_transient_and_named() {
        for line in [
            "OOM command not allowed when used memory > 'maxmemory'.",
            "LOADING Redis is loading the dataset in memory",
            "MISCONF Redis is configured to save RDB snapshots, but it's unable to persist",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "NOREPLICAS Not enough good replicas to write.",
            "BUSY Redis is busy running a script.",
        ] {
            assert_eq!(dht_error(&error(line)), DhtError::unavailable(line));
            let code = line.split(' ').next().expect("a code");
            assert_eq!(
                transient_error(&error(line)),
                Some(DhtError::unavailable(code))
            );
        }
        let full = transient_error(&error("ERR max number of clients reached"));
        assert!(full.is_some_and(|error| error.is_transient()));
        assert_eq!(transient_error(&error("WRONGPASS LOADING")), None);
    }

    #[test]
    fn what_an_operator_has_to_change_is_permanent_and_named() {
        for line in [
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions to run the 'set' command",
            "ERR unknown command 'EVALSHA'",
            "MOVED 3999 127.0.0.1:6381",
        ] {
            assert_eq!(dht_error(&error(line)), DhtError::rejected(line));
        }
        assert_eq!(dht_error(&error("ODD")), DhtError::rejected("ODD "));
    }

    #[test]
    fn an_error_within_a_script_is_found_as_older_servers_wrap_it() {
        let script = "ERR Error running script (call to f_1f): @user_script:9: @user_script: 9: ";
        for (inner, expected) in [
            (
                "-OOM command not allowed",
                DhtError::unavailable("OOM command not allowed"),
            ),
            (
                "-NOPERM this user has no permissions",
                DhtError::rejected("NOPERM this user has no permissions"),
            ),
            ("-MISCONF", DhtError::unavailable("MISCONF ")),
        ] {
            assert_eq!(dht_error(&error(&format!("{script}{inner}"))), expected);
        }
    }

    #[test]
    fn an_error_within_a_script_is_found_as_redis_7_words_it() {
        let oom = "OOM command not allowed when used memory > 'maxmemory'.";
        let with_hash = format!("{oom} script: 1f2e, on @user_script:49.");
        assert_eq!(dht_error(&error(&with_hash)), DhtError::unavailable(oom));
        let right = "The user executing the script can't run this command or subcommand";
        assert_eq!(
            dht_error(&error(&format!("ERR {right} script: 1f2e"))),
            DhtError::rejected(&format!("NOPERM {right}"))
        );
    }

    #[test]
    fn a_failure_tells_whether_the_server_may_have_the_request() {
        for (failure, expected) in [
            (Failure::TimedOut, DhtError::Timeout),
            (Failure::Unreachable, DhtError::Unreachable),
            (Failure::Closed, DhtError::Unreachable),
            (Failure::Answered(DhtError::Conflict), DhtError::Conflict),
        ] {
            assert_eq!(DhtError::from(failure), expected);
        }
        let late = Failure::of_io(&io::ErrorKind::WouldBlock.into());
        let broken = Failure::of_io(&io::ErrorKind::ConnectionReset.into());
        assert_eq!((late, broken), (Failure::TimedOut, Failure::Closed));
    }
}
