//! The public methods of [`RegistryBuilder`] and [`Registry`] that concern saves.

use super::RestoreReport;
use super::file;
use super::saved::Saved;
use super::saver::Schedule;
use crate::errors::RestoreError;
use crate::registry::{Registry, RegistryBuilder};
use crate::sync::Arc;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

impl RegistryBuilder {
    /// Restores a [save](Registry::save): the registry that is built goes on from there.
    ///
    /// The save is read and checked here, whole. It is applied by [`build`](Self::build), with
    /// all settings of this builder, before any thread has the registry.
    ///
    /// What has passed since the save, by the [calendar](Self::wall_clock), counts as if the
    /// registry had gone on. A calendar that went back counts as one that stood still.
    ///
    /// - A relay whose time is not over is live for what remains of it, at most its TTL. It is
    ///   [registered at](crate::RelayInfo::registered_at) the time at which it was.
    /// - One whose time is over is late: for what remains of its
    ///   [grace](Self::return_grace), it may [return](crate::Registration::Returned). So may one
    ///   that was gone when the registry was saved.
    /// - Neither [starts slowly](Self::slow_start).
    /// - Bans, back-offs, round trips and views of peers end when they would have ended.
    /// - A relay that was learned is not restored. Its signed record is offered anew: it is
    ///   verified, and its relay is registered once a probe succeeds. (At most as many records are
    ///   verified as there may be candidates, and those of relays that were registered go first.)
    ///
    /// Relays are checked as registrations are, by the settings of this builder: address policy,
    /// capacity, labels, endpoints. Those that do not pass are left out. If there are more relays
    /// than [`max_relays`](Self::max_relays), those that were registered first are restored. If
    /// more are late than may be remembered, those that went first are left out. What the operator
    /// said of any of these is kept, and so are their bans and back-offs.
    /// [`Registry::restored`] counts all this.
    ///
    /// A restored relay is no event, and no registration in [`Stats`](crate::Stats).
    ///
    /// The checksum shows whether a file was altered by accident. It does not show who wrote it:
    /// restore what only you can write.
    ///
    /// # Errors
    ///
    /// A [`RestoreError`]: the reader failed, or this is no save, one of another version, or one
    /// that was cut or altered. The builder is consumed, so build another one to go on without. If
    /// that one [saves](Self::save_to) to the same file, move the file away first: it is replaced.
    ///
    /// # Cost
    ///
    /// The bytes of the save are kept until `build` has ended. Restoring a relay costs a few
    /// microseconds.
    ///
    /// ```
    /// use relay_registry::{NodeId, Registry};
    /// # use std::net::SocketAddr;
    /// use std::time::Duration;
    ///
    /// let registry = Registry::new();
    /// let [relay, banned] = [1, 2].map(|n| NodeId::from([n; 32]));
    /// registry.register(relay, SocketAddr::from(([192, 0, 2, 1], 4433)))?;
    /// registry.record_rtt(&relay, Duration::from_millis(18));
    /// registry.ban(&banned, Duration::from_secs(3_600))?;
    /// let mut save = Vec::new();
    /// registry.save(&mut save)?;
    /// drop(registry);
    ///
    /// let restored = Registry::builder().restore(&save[..])?.build()?;
    /// let latency = restored.relay(&relay).expect("it is live").latency();
    /// assert_eq!(latency, Some(Duration::from_millis(18)));
    /// assert_eq!(restored.banned()[0].0, banned);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore(mut self, reader: impl Read) -> Result<Self, RestoreError> {
        self.persistence.saved = Some(Saved::read(reader)?);
        Ok(self)
    }

    /// [Restores](Self::restore) the save in a file. If there is no such file, as when a process
    /// starts for the first time, there is nothing to restore, and that is no error.
    ///
    /// # Errors
    ///
    /// As [`restore`](Self::restore).
    ///
    /// ```
    /// use relay_registry::{Maintenance, Registry};
    /// use std::time::Duration;
    ///
    /// let folder = std::env::temp_dir().join(format!("relays-{}", std::process::id()));
    /// std::fs::create_dir_all(&folder)?;
    /// let path = folder.join("relays.save");
    ///
    /// // As a service does: it goes on from the last save, if there is one, and saves every minute.
    /// let registry = Registry::builder()
    ///     .restore_from(&path)?
    ///     .save_to(&path, Duration::from_secs(60))
    ///     .build()?;
    /// assert_eq!(registry.restored(), None);
    /// registry.close(); // saves
    ///
    /// let again = Registry::builder().restore_from(&path)?.build()?;
    /// assert_eq!(again.restored().unwrap().live, 0);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore_from(self, path: impl AsRef<Path>) -> Result<Self, RestoreError> {
        let path = path.as_ref();
        match File::open(path) {
            Ok(file) => self.restore(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self),
            Err(error) => Err(file::named(path, &error).into()),
        }
    }

    /// Has the registry save itself to a file: at intervals, which are above zero and counted by
    /// its [clock](Self::clock), and at the end. Default: it does not. The first save is made when an
    /// interval has passed since [`build`](Self::build), which does not look whether the path can be
    /// written: the folder must be there. To learn that at once, call [`Registry::save_to`].
    ///
    /// Each save replaces the file as [`Registry::save_to`] does. The last one is made at the end:
    /// [`close`](Registry::close) and [`closed`](Registry::closed) return when it is made, and after
    /// all other threads of the registry have ended. The drop of the last handle has it made, too,
    /// but does not wait for it: a process that exits at once may lose it. After the last one
    /// nothing more is saved by itself, so that another process may take over the file. No two
    /// registries may save to one file, which nothing checks.
    ///
    /// With [`Maintenance::Thread`](crate::Maintenance::Thread) a thread of its own saves,
    /// `relay-save`, so expiry never waits for a disk. With
    /// [`Maintenance::Manual`](crate::Maintenance::Manual), [`maintain`](Registry::maintain) saves
    /// if it is time, and the calls that end the registry, or the drop, make the last save
    /// themselves.
    ///
    /// A save that fails is [counted](crate::Stats::failed_saves), and the next one is tried after
    /// an interval. The file is then as it was. [`Registry::last_save_error`] says what went wrong.
    /// If the process is killed, what changed since the last save is lost.
    pub fn save_to(mut self, path: impl Into<PathBuf>, every: Duration) -> Self {
        let path = path.into();
        self.persistence.schedule = Some(Schedule { path, every });
        self
    }
}

impl Registry {
    /// Writes what was learned at a price, and cannot be had again at once, for
    /// [`RegistryBuilder::restore`]:
    ///
    /// - relays with all that they announced, and the remaining time of each; those that are
    ///   [remembered](RegistryBuilder::return_grace), too;
    /// - round trips, with their ages, and positions;
    /// - circuits and bans;
    /// - what the operator said (draining, tiers, costs), also of ids without a relay;
    /// - the views of peers that are remembered;
    /// - with a DHT: the highest sequences of records, the signed records of remote relays, and
    ///   the sequence of this node's own record.
    ///
    /// Not written are leases and loads, for their sessions are gone; keys; the circuits of
    /// relays that were forgotten; relays that were learned, beside their records; outliers of
    /// round trips that wait for a repetition; which relays a [source](Registry::sync_source) has;
    /// events; and counters.
    ///
    /// # Errors
    ///
    /// Those of the writer. What was written until then is not restored.
    ///
    /// # Concurrency and cost
    ///
    /// Visits all records, a thousand under one pin, and writes some 30 KiB at a time or more. The
    /// writer is called while neither a lock is held nor the epoch pinned, so it may take long, and
    /// may call the registry. No other call waits for a save for longer than it takes to copy the
    /// ids of all views of peers. Reads both [clocks](RegistryBuilder::wall_clock) first.
    ///
    /// A save is no picture of one moment: each relay is in it as it was at some moment of the
    /// call. A relay that is registered throughout is in it. Beside what is written, it takes
    /// eight bytes for each record, and memory for the ids of the relays that have positions, and of
    /// the peers.
    ///
    /// ```
    /// use relay_registry::Registry;
    ///
    /// let mut bytes = Vec::new();
    /// Registry::new().save(&mut bytes)?;
    /// assert!(Registry::builder().restore(&bytes[..]).is_ok());
    /// assert!(Registry::builder().restore(&bytes[1..]).is_err());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn save(&self, writer: impl Write) -> io::Result<()> {
        self.shared.saver().save(writer)
    }

    /// Replaces a file by a [save](Self::save). A crash at any moment leaves the old file or the
    /// new one.
    ///
    /// The save is written to a file beside it, with `.new` behind its name, then synced and
    /// renamed, and then the folder is synced (on Unix). On Unix the file can be read by its owner
    /// only. The folder must be there, with room for both files. A call waits for another one of the
    /// same registry, and for the disk.
    ///
    /// # Errors
    ///
    /// Those of the file system. The file is then as it was, unless the error came after it was
    /// replaced, when the folder was synced.
    pub fn save_to(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.shared.saver().save_to(path.as_ref())
    }

    /// Why the last save failed that was made [by itself](RegistryBuilder::save_to); `None` if it
    /// did not fail, or there was none.
    #[must_use]
    pub fn last_save_error(&self) -> Option<Arc<io::Error>> {
        self.shared.saver().last_error()
    }

    /// What was taken from the save that this registry was
    /// [restored](RegistryBuilder::restore) from; `None` if it was not.
    #[must_use]
    pub fn restored(&self) -> Option<&RestoreReport> {
        self.shared.saver().restored()
    }
}
