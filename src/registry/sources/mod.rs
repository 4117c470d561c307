//! Lists of relays from elsewhere, such as files, DNS, HTTP or an orchestrator.
//!
//! Each tag has a set of relays: those that its last list had, and that were registered or
//! renewed for it. A call registers what its list has, then unregisters what only its last list
//! had. Relays of the new list come first, so that no moment is without relays where the two
//! lists have none in common. What was refused for lack of room is tried again afterwards.
//!
//! Calls of one registry run one after another, under a lock that nothing else takes. Under it
//! nothing of the embedder's is called: the list is read before, and so is the clock. A
//! registration then goes by that reading, or by the current tick if that is later.
//!
//! If another thread unregisters or registers a relay meanwhile, that is as before or after the
//! step of the call that concerns the relay.

mod list;
mod relay;
mod report;
mod tags;

pub use relay::SourceRelay;
pub use report::SyncReport;

use crate::errors::{LabelScope, RegisterError, SyncError};
use crate::registry::Registry;
use crate::registry::request::{Registration, TimeSource};
use crate::relay::NodeId;
use crate::sync::Mutex;
use crate::time::Moment;
use list::List;
use tags::{Members, Tags, check_tag, no_members};

/// See the module's description.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<Tags>);

impl Registry {
    /// Makes the relays of a source those of this list: registers or renews the relays that it
    /// has, and unregisters those that the last list under the same tag had and this one does not.
    ///
    /// For lists that come from elsewhere, whole each time: a configuration file, DNS SRV records,
    /// an answer over HTTP, the endpoints of a Kubernetes service. `tag` names the source, such as
    /// `"file"`. With the feature `serde`, a list is read straight from a file: see
    /// [`SourceRelay`].
    ///
    /// ```
    /// use relay_registry::{Endpoint, NodeId, RegisterOptions, Registry, SourceRelay};
    ///
    /// let registry = Registry::new();
    /// let [a, b, c] = [1, 2, 3].map(|n| NodeId::from([n; 32]));
    /// let at = |host: &str| Endpoint::new(host, 4433);
    ///
    /// let large = RegisterOptions::new().capacity(500);
    /// let list = [SourceRelay::new(a, at("a.example")?).with_options(large), (b, at("b.example")?).into()];
    /// let report = registry.sync_source("file", list)?;
    /// assert_eq!((report.registered, report.removed), (2, 0));
    ///
    /// // The file has changed: a has no capacity of its own any more, b is gone, c is new.
    /// let report = registry.sync_source("file", [(a, at("a.example")?), (c, at("c.example")?)])?;
    /// assert_eq!((report.renewed, report.registered, report.removed), (1, 1, 1));
    /// assert_eq!(registry.relay(&a).unwrap().capacity(), 100);
    /// assert!(!registry.is_relay(&b));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # What an entry says
    ///
    /// An entry is the whole of what its relay announces: an option that it does not set has its
    /// default, also if an earlier list or registration set it. (A
    /// [plain](Self::register_with) renewal keeps what it does not set.) Load, leases, round trips,
    /// circuit and the words of the operator ([bans](Self::ban), [draining](Self::set_draining),
    /// [tiers](Self::set_tier), [costs](Self::set_cost)) stay. A
    /// [latency](crate::RegisterOptions::latency) is given, and a
    /// [restart](crate::RegisterOptions::restarted) happens, at each call whose list has it.
    ///
    /// If an id is listed more than once, the last entry counts, and the report names it.
    ///
    /// # Which relays are removed
    ///
    /// A tag has the relays that its calls registered or renewed, until a list does not have them.
    /// Then they are unregistered, with three exceptions: another tag still has the relay; it was
    /// never accepted under this tag; or it is one that was learned from a DHT meanwhile. It does
    /// not matter who else registers a relay that a tag has, before or between its calls: when the
    /// tag drops it, it is unregistered. A relay that several tags have is as the latest call says,
    /// and is unregistered when the last of them drops it.
    ///
    /// An empty list unregisters all relays of the tag. So do not pass one if the source could not
    /// be read.
    ///
    /// # Refused entries
    ///
    /// An entry that is refused, for what it says or for lack of room, does not affect the others.
    /// The report has the reason. If the tag has the relay already, it stays as it was, and is
    /// renewed as that. Relays of the new list are registered before others are removed, and those
    /// for which there was no room, or whose endpoint or labels were taken, are tried once more
    /// afterwards.
    ///
    /// # Relays that expire
    ///
    /// A call is a registration: the relays that it lists expire after their TTL, unless they are
    /// renewed. So call this again within the TTL, also if the list has not changed: every third of
    /// it, so that two calls may fail, as the example `config_reload` does. Or give the entries a
    /// [TTL](crate::RegisterOptions::ttl) as long as the list is to hold. A listed relay that expired
    /// or was unregistered meanwhile is registered again by the next call.
    ///
    /// If the registry is [saved and restored](crate::guide::persistence), call this after each start. A
    /// relay that the list lost while the process was down is not removed, but expires: its TTL is
    /// how long it may be handed out by mistake.
    ///
    /// # Errors
    ///
    /// A [`SyncError`] that concerns the list as a whole: the tag is not of 1 to 64 bytes without
    /// control characters; 64 other tags have relays; or the list has more entries than
    /// [`max_relays`](crate::RegistryBuilder::max_relays). Then nothing has changed.
    ///
    /// # Concurrency and cost
    ///
    /// Any thread may call this. The list is read, and the clock, before anything is locked or
    /// changed. Then calls of one registry run one after another, each as a whole; of two for one
    /// tag, the later one decides. No other operation waits for them, and each relay is visible as
    /// soon as it is registered. Tasks that wait for events or for a relay are woken when the call
    /// ends. Costs a registration for each entry. Remembers the ids of each
    /// tag, in about 80 bytes each: tags are not saved.
    pub fn sync_source<R: Into<SourceRelay>>(
        &self,
        tag: &str,
        relays: impl IntoIterator<Item = R>,
    ) -> Result<SyncReport, SyncError> {
        check_tag(tag)?;
        let known = &self.inner().relays;
        let mut list = List::read(relays, known.table.max_relays())?;
        list.set_default_ttl(known.settings.ttl);
        // Before the lock: the clock is the embedder's code.
        let read = known.timeline.advance();
        self.sync_list(tag, list, read)
    }

    #[inline(never)]
    fn sync_list(&self, tag: &str, list: List, read: Moment) -> Result<SyncReport, SyncError> {
        // Dropped after the lock: wakers are the embedder's code.
        let _wakes = self.inner().relays.wake_guard();
        let mut tags = self.inner().sources.0.lock();
        if !list.entries.is_empty() {
            tags.check_room(tag)?;
        }
        let before = tags.take(tag);
        let mut run = SyncRun {
            registry: self,
            read,
            members: no_members(),
            report: SyncReport::default(),
        };
        let refused = run.register_all(&list);
        let dropped = before.iter().filter(|id| !list.has(id) && !tags.have(id));
        run.unregister_all(dropped);
        run.retry(&list, refused, &before);
        run.report.duplicates = list.duplicates();
        tags.set(tag, run.members);
        Ok(run.report)
    }
}

/// One call, under the lock.
struct SyncRun<'a> {
    registry: &'a Registry,
    /// The reading of the clock that the call goes by.
    read: Moment,
    /// The relays that the tag has from here on.
    members: Members,
    report: SyncReport,
}

impl SyncRun<'_> {
    /// Registers what the list has. Returns which entries were refused, and why.
    fn register_all(&mut self, list: &List) -> Vec<(usize, RegisterError)> {
        let mut refused = Vec::new();
        for (at, relay) in list.entries.iter().enumerate() {
            if let Err(error) = self.register(relay) {
                refused.push((at, error));
            }
        }
        refused
    }

    fn register(&mut self, relay: &SourceRelay) -> Result<(), RegisterError> {
        let SourceRelay {
            id,
            endpoint,
            options,
        } = relay;
        let (inner, time) = (self.registry.inner(), TimeSource::Reading(self.read));
        let named = (id, inner.relays.table.hash(id));
        let registration =
            inner.try_register_local(named, endpoint, options, true, (time, None))?;
        inner.conclude_registration(id, &Ok(registration));
        self.registry.merge_after(registration);
        self.members.insert(*id);
        *match registration {
            Registration::New => &mut self.report.registered,
            Registration::Renewed => &mut self.report.renewed,
            Registration::Returned => &mut self.report.returned,
        } += 1;
        Ok(())
    }

    fn unregister_all<'a>(&mut self, dropped: impl Iterator<Item = &'a NodeId>) {
        let inner = self.registry.inner();
        for id in dropped {
            let now = inner.relays.timeline.tick();
            self.report.removed += usize::from(inner.unregister_local(id, now));
        }
    }

    /// Registers what was refused for what other relays had, and may have no more. A relay that is
    /// still refused stays as it was, if it was one of the tag.
    fn retry(&mut self, list: &List, refused: Vec<(usize, RegisterError)>, before: &Members) {
        let inner = self.registry.inner();
        for (at, mut error) in refused {
            let relay = &list.entries[at];
            if is_for_others(&error) {
                match self.register(relay) {
                    Ok(()) => continue,
                    Err(again) => error = again,
                }
            }
            let refusal = Err(error);
            inner.conclude_registration(&relay.id, &refusal);
            if before.contains(&relay.id) {
                let now = inner.relays.timeline.no_earlier_than(self.read);
                inner.renew_by_id_at(&relay.id, now);
                self.members.insert(relay.id);
            }
            let refusals = refusal.err().map(|error| (relay.id, error));
            self.report.refused.extend(refusals);
        }
    }
}

/// Whether a relay was refused for what other relays have.
fn is_for_others(error: &RegisterError) -> bool {
    matches!(
        error,
        RegisterError::Full { .. }
            | RegisterError::EndpointTaken { .. }
            | RegisterError::TooManyLabels {
                scope: LabelScope::Registry,
                ..
            }
    )
}
