//! Everything that can end the run early, each as one line for a person.

use std::fmt;
use std::io;

#[derive(Debug)]
pub enum Failure {
    /// The command line asks for something that cannot be.
    Usage(String),
    /// No node, socket or thread was to be had.
    System { what: &'static str, error: String },
    /// The registry or a record refused something that this program relies on.
    Registry(String),
    /// It all ran, and this is what did not come true.
    Broken(Vec<String>),
    /// Standard output does not take the report.
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
