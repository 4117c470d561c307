//! The errors of an example, each printed as one line.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::matrix::MatrixError;

#[derive(Debug)]
pub enum Failure {
    /// The command line is wrong.
    Usage(String),
    /// The matrix file cannot be read.
    File { path: PathBuf, what: String },
    /// The matrix file was read, but is not a matrix of round-trip times.
    Matrix { path: PathBuf, error: MatrixError },
    /// The registry refused something that this program relies on.
    Registry(String),
    /// The threaded run could not be carried out.
    Thread(String),
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

    /// For errors of the registry, all of which are fatal to this program.
    pub fn registry(error: impl fmt::Display) -> Self {
        Self::Registry(error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what} (try --help)"),
            Self::File { path, what } => write!(f, "{}: {what}", path.display()),
            Self::Matrix { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Registry(what) => write!(f, "the registry refused: {what}"),
            Self::Thread(what) => write!(f, "full-speed run: {what}"),
            Self::Output(error) => write!(f, "standard output: {error}"),
        }
    }
}
