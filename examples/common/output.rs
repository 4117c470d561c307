//! Standard output, standard error and the exit code.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

/// Prints a report. A reader that stops early (`| head`) is no failure.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Prints why the program fails, and returns its exit code.
pub fn fail(program: &str, why: impl Display, code: u8) -> ExitCode {
    // If standard error cannot be written either, the exit code is all there is.
    let _ = writeln!(io::stderr(), "{program}: {why}");
    ExitCode::from(code)
}
