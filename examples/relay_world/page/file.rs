//! Where the page is written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::args::Args;
use crate::error::Failure;

const NAME: &str = "relay_world.html";

/// The file of the page, open for writing. What it had before is there until the page is written.
pub struct PageFile {
    path: PathBuf,
    file: File,
}

impl PageFile {
    /// Opens the file before the run, so that a page that cannot be written costs no time. `None` if no
    /// page is wanted.
    pub fn open(args: &Args) -> Result<Option<Self>, Failure> {
        let path = match &args.page {
            Some(path) => path.clone(),
            None if args.json => return Ok(None),
            None => default_path(&std::env::current_exe().map_err(|error| Failure::File {
                path: NAME.into(),
                what: format!("{error}; --page names another file"),
            })?),
        };
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        match opened {
            Ok(file) => Ok(Some(Self { path, file })),
            Err(error) => Err(unwritten(&path, &error)),
        }
    }

    /// Replaces what the file has, and returns where it is.
    pub fn write(mut self, page: &str) -> Result<PathBuf, Failure> {
        let written = self
            .file
            .set_len(0)
            .and_then(|()| self.file.write_all(page.as_bytes()));
        match written {
            Ok(()) => Ok(self.path.canonicalize().unwrap_or(self.path)),
            Err(error) => Err(unwritten(&self.path, &error)),
        }
    }

    /// What is wrong with the page itself.
    pub fn fail(&self, what: impl ToString) -> Failure {
        Failure::File {
            path: self.path.clone(),
            what: what.to_string(),
        }
    }
}

fn unwritten(path: &Path, error: &io::Error) -> Failure {
    Failure::File {
        path: path.to_owned(),
        what: format!("the page cannot be written: {error}; --page names another file"),
    }
}

/// In the build's target directory: cargo puts examples into `examples` in the directory of the profile
/// there. Beside the executable if it was moved elsewhere.
fn default_path(executable: &Path) -> PathBuf {
    let folder = executable.parent().unwrap_or(Path::new("/"));
    let is_cargos = folder.file_name().is_some_and(|name| name == "examples");
    let target = folder.ancestors().nth(2).filter(|_| is_cargos);
    target.unwrap_or(folder).join(NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("{name}_{}.html", std::process::id()))
    }

    #[test]
    fn the_page_is_in_the_target_directory_or_beside_the_executable() {
        let path = |executable: &str| default_path(Path::new(executable));
        let built = "/built/crate/target/release/examples/relay_world";
        assert_eq!(
            path(built),
            Path::new("/built/crate/target/relay_world.html")
        );
        assert_eq!(
            path("/usr/bin/relay_world"),
            Path::new("/usr/bin/relay_world.html")
        );
    }

    #[test]
    fn a_page_replaces_a_longer_one() {
        let path = temporary("page");
        let args = Args {
            page: Some(path.clone()),
            ..Args::default()
        };
        for text in ["a longer page", "a page"] {
            let file = PageFile::open(&args).unwrap().unwrap();
            file.write(text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn json_has_no_page_unless_asked_for() {
        let args = Args {
            json: true,
            ..Args::default()
        };
        assert!(PageFile::open(&args).unwrap().is_none());
    }

    #[test]
    fn a_page_that_cannot_be_written_is_one_line() {
        let args = Args {
            page: Some(temporary("absent").join("page.html")),
            ..Args::default()
        };
        let failure = PageFile::open(&args).err().unwrap().to_string();
        assert!(failure.contains("the page cannot be written"), "{failure}");
        assert!(!failure.contains('\n'), "{failure}");
    }
}
