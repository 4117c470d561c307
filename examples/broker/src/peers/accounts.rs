//! What each peer has and had lately, so that none takes more than its part.

use relay_registry::{Coordinate, NodeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// The accounts of all peers that have a session, or called within the last minute. Only peers with
/// a valid token have one.
#[derive(Clone, Default)]
pub struct Accounts {
    accounts: Arc<Mutex<HashMap<NodeId, Account>>>,
}

struct Account {
    sessions: usize,
    failures: u32,
    failures_since: Instant,
    view_at: Option<Instant>,
    /// Where the peer is, by its last view: for the map of the page.
    coordinate: Option<Coordinate>,
    used_at: Instant,
}

/// A session that counts against its peer until this is dropped.
pub struct Seat {
    accounts: Accounts,
    peer: NodeId,
}

impl Accounts {
    /// Takes one of the `most` sessions that a peer may have.
    pub fn open_session(&self, peer: NodeId, most: usize) -> Option<Seat> {
        self.with(peer, |account| {
            let has_room = account.sessions < most;
            account.sessions += usize::from(has_room);
            has_room.then(|| Seat {
                accounts: self.clone(),
                peer,
            })
        })
    }

    /// Whether a failure that the peer reports counts: up to `most` in a minute.
    pub fn takes_failure(&self, peer: NodeId, most: u32) -> bool {
        self.with(peer, |account| {
            if account.used_at.duration_since(account.failures_since) >= MINUTE {
                account.failures_since = account.used_at;
                account.failures = 0;
            }
            account.failures = account.failures.saturating_add(1);
            account.failures <= most
        })
    }

    /// Whether the peer may send a view now, once in `every`; if not, for how long it must wait.
    pub fn takes_view(
        &self,
        peer: NodeId,
        coordinate: Option<Coordinate>,
        every: Duration,
    ) -> Result<(), Duration> {
        self.with(peer, |account| {
            let since = account.view_at.map(|at| account.used_at.duration_since(at));
            if let Some(wait) = since
                .and_then(|since| every.checked_sub(since))
                .filter(|it| !it.is_zero())
            {
                return Err(wait);
            }
            account.view_at = Some(account.used_at);
            account.coordinate = coordinate;
            Ok(())
        })
    }

    /// Where a peer is, if it is one of these and said so.
    pub fn coordinate(&self, peer: &NodeId) -> Option<Coordinate> {
        self.lock().get(peer)?.coordinate
    }

    /// Forgets the peers without a session that have not called for as long as anything counts.
    pub fn forget_idle(&self, view_every: Duration) {
        let (now, length) = (Instant::now(), MINUTE.max(view_every));
        let mut accounts = self.lock();
        accounts.retain(|_, it| it.sessions > 0 || now.duration_since(it.used_at) < length);
        if accounts.capacity() > 4 * accounts.len() {
            accounts.shrink_to_fit();
        }
    }

    fn with<T>(&self, peer: NodeId, use_it: impl FnOnce(&mut Account) -> T) -> T {
        let now = Instant::now();
        let mut accounts = self.lock();
        let account = accounts.entry(peer).or_insert_with(|| Account {
            sessions: 0,
            failures: 0,
            failures_since: now,
            view_at: None,
            coordinate: None,
            used_at: now,
        });
        account.used_at = now;
        use_it(account)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<NodeId, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.accounts
            .with(self.peer, |account| account.sessions -= 1);
    }
}
