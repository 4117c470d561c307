//! Replacing a file as a whole: a crash at any moment leaves the old content or the new one.
//!
//! 1. What an earlier attempt left behind is removed.
//! 2. The content is written to a file beside the old one, with `.new` behind its name, so on the
//!    same file system. It must not exist: a link that another user put there is not followed.
//! 3. That file is synced, so that its content is on the disk before its name is.
//! 4. It is renamed, which replaces the old file in one step.
//! 5. The folder is synced, so that the new name is on the disk, too.
//!
//! A crash leaves at most that one file beside, which the next attempt removes.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What is done next. Tests end the process there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code, reason = "tests read it"))]
pub(super) enum Step {
    Remove,
    Create,
    Write,
    SyncFile,
    Rename,
    SyncFolder,
    /// Nothing: all is done.
    End,
}

/// Replaces the content of a file by what `write` writes. `before` is called before each step.
pub(super) fn replace(
    path: &Path,
    mut before: impl FnMut(Step),
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let beside = beside(path)?;
    let replaced = replace_by(path, &beside, &mut before, write);
    if replaced.is_err() {
        // The old file is as it was. If this fails, too, the next attempt removes it.
        let _ = fs::remove_file(&beside);
    }
    replaced.map_err(|error| named(path, &error))
}

/// The same error, with the file that it is about.
pub(super) fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn replace_by(
    path: &Path,
    beside: &Path,
    before: &mut dyn FnMut(Step),
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    before(Step::Remove);
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    before(Step::Create);
    let file = create(beside)?;
    write(&mut Stepped {
        file: &file,
        before: &mut *before,
    })?;
    before(Step::SyncFile);
    file.sync_all()?;
    drop(file);
    before(Step::Rename);
    fs::rename(beside, path)?;
    before(Step::SyncFolder);
    sync_folder(path)?;
    before(Step::End);
    Ok(())
}

/// The file beside.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        let reason = format!("{} is not the path of a file", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    };
    let mut beside = OsString::from(name);
    beside.push(".new");
    Ok(path.with_file_name(beside))
}

/// Creates a file that others cannot read: who measured what is not for them.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Syncs the folder of a file. Only on Unix can a folder be opened for that.
fn sync_folder(path: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

struct Stepped<'a> {
    file: &'a File,
    before: &'a mut dyn FnMut(Step),
}

impl Write for Stepped<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.before)(Step::Write);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
