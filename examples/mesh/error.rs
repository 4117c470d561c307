//! The errors of this program, each printed as one line.

use std::fmt;
use std::io;

#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// A node, socket or thread could not be created.
    System { what: &'static str, error: String },
    /// The registry or a record refused something that this program relies on.
    Registry(String),
    /// The run ended, and these promises were broken.
    Broken(Vec<String>),
    /// The report could not be written.
    Output(io::Error),
}

impl Failure {
    /// 2 for a wrong command line, as is customary, and 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            _ => 1,
        }
    }

    pub fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::System {
            what,
            error: error.to_string(),
        }
    }

    /// For errors of the registry and its records, all of which are fatal to
    /// this program.
    pub fn registry(error: impl fmt::Display) -> Self {
        Self::Registry(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what} (try --help)"),
            Self::System { what, error } => write!(f, "{what}: {error}"),
            Self::Registry(what) => write!(f, "the registry refused: {what}"),
            Self::Broken(promises) => write!(f, "{}", promises.join("; ")),
            Self::Output(error) => write!(f, "standard output: {error}"),
        }
    }
}
