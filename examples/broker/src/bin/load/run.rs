//! The run, from the first registration to the last place that is given back.

use crate::AnyError;
use crate::args::Args;
use crate::broker_process::{Target, allow_files};
use crate::ledger::Ledger;
use crate::peers::{Begin, PeerClient, Peers};
use crate::process;
use crate::relays::RelayClient;
use crate::report::{Report, print};
use crate::weather;
use crate::world::{Relay, World};
use broker::client::Client;
use fastrand::Rng;
use hyper::Method;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, sleep_until};

/// So many requests, or questions of peers, are on their way at a time before the steady part.
const AT_A_TIME: usize = 64;
/// After so long, all places must be given back.
const END_WITHIN: Duration = Duration::from_secs(20);

/// Runs, reports, and returns whether all promises were kept.
pub fn run(args: Args) -> Result<bool, AnyError> {
    allow_files(&args)?;
    let world = World::new(&args);
    let target = Target::find(&args, &world)?;
    let kept = tokio::runtime::Runtime::new()?.block_on(load(&args, world, &target))?;
    target.end()?;
    Ok(kept)
}

async fn load(args: &Args, world: World, target: &Target) -> Result<bool, AnyError> {
    let ledger = Arc::new(Ledger::new(&world.relays));
    let client = Client::new(target.public);
    let mut report = Report::new(args.clone());
    if args.watch {
        println!(
            "The page is at http://{}. Press ctrl-c to end.",
            target.admin
        );
    }

    let relay = |relay: &Relay| {
        RelayClient::new(
            relay.clone(),
            target.secret(),
            client.clone(),
            Arc::clone(&ledger),
        )
    };
    let relays: Arc<Vec<RelayClient>> = Arc::new(world.relays.iter().map(relay).collect());
    let mut background = start_relays(&relays, args.seed).await?;
    report.empty_bytes = target.pid.and_then(process::resident_bytes);

    let peers = Arc::new(Peers {
        world,
        ledger: Arc::clone(&ledger),
        broker: target.public,
        client,
    });
    let clients = peers.world.peers.len();
    let clients =
        (0..clients).map(|at| PeerClient::new(Arc::clone(&peers), at, target.secret(), at as u64));
    let (start, rounds) = (Instant::now(), peers.world.rounds());
    let mut clients: Vec<PeerClient> = clients.collect();
    for round in (0..rounds).map(Some).chain([None]) {
        clients = send_views(clients, round).await?;
    }
    let views = u64::from(args.peers) * (rounds as u64 + 1);
    report.views = (views, start.elapsed());

    let (tell, peers_end) = start_peers(clients);
    report.opened = (args.peers, open_all(&tell).await);
    report.opened_times = ledger.take_times();
    report.full_bytes = target.pid.and_then(process::resident_bytes);

    background.push(tokio::spawn(weather::change(
        Arc::clone(&relays),
        Arc::clone(&ledger),
        args.seed,
    )));
    let cpu = target.pid.and_then(process::cpu_time);
    let start = Instant::now();
    report.begun = begin_steadily(&tell, args).await;
    report.steady = start.elapsed();
    report.cpu = target
        .pid
        .and_then(process::cpu_time)
        .zip(cpu)
        .map(|(after, before)| after - before);

    background.iter().for_each(JoinHandle::abort);
    drop(tell);
    peers_end.join_all().await;
    report.leases_left = leases_left(target).await?;
    if report.leases_left != 0 {
        ledger.is_broken(format!("{} places were not given back", report.leases_left));
    }
    print(&report, &ledger);
    Ok(ledger.broken().is_empty())
}

/// Registers all, and lets them live.
async fn start_relays(relays: &[RelayClient], seed: u64) -> Result<Vec<JoinHandle<()>>, AnyError> {
    let mut lives = Vec::new();
    for (n, relay) in relays.iter().enumerate() {
        let renew_after = relay.register().await?;
        lives.push(tokio::spawn(
            relay.clone().live(renew_after, seed + n as u64),
        ));
    }
    Ok(lives)
}

/// Lets all peers send their views.
async fn send_views(
    clients: Vec<PeerClient>,
    round: Option<usize>,
) -> Result<Vec<PeerClient>, AnyError> {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    let mut sending = JoinSet::new();
    for client in clients {
        let place = Arc::clone(&places).acquire_owned().await?;
        sending.spawn(async move {
            let sent = client.send_view(round).await;
            drop(place);
            sent.map(|()| client)
        });
    }
    sending.join_all().await.into_iter().collect()
}

type Tell = Vec<mpsc::UnboundedSender<Begin>>;

fn start_peers(clients: Vec<PeerClient>) -> (Tell, JoinSet<()>) {
    let mut lives = JoinSet::new();
    let tell = clients.into_iter().map(|client| {
        let (tell, told) = mpsc::unbounded_channel();
        lives.spawn(client.live(told));
        tell
    });
    (tell.collect(), lives)
}

/// Opens a session of each peer, as fast as the broker answers.
async fn open_all(tell: &Tell) -> Duration {
    let (start, places) = (Instant::now(), Arc::new(Semaphore::new(AT_A_TIME)));
    for tell in tell {
        let place = Arc::clone(&places).acquire_owned().await;
        let due = Instant::now();
        // A peer that is gone has told why.
        _ = tell.send(Begin {
            due,
            place: place.ok(),
        });
    }
    _ = places.acquire_many(AT_A_TIME as u32).await;
    start.elapsed()
}

/// At a steady rate, whatever the broker does, a peer begins another session. Returns how many were begun.
async fn begin_steadily(tell: &Tell, args: &Args) -> u64 {
    let mut rng = Rng::with_seed(args.seed);
    let start = Instant::now();
    let every = Duration::from_secs(1) / args.rate;
    let mut ended = std::pin::pin!(end_of(args));
    for n in 0.. {
        let due = start + every.mul_f64(n as f64);
        tokio::select! {
            () = &mut ended => return n,
            () = sleep_until(due.into()) => {}
        }
        _ = tell[rng.usize(..tell.len())].send(Begin { due, place: None });
    }
    0
}

async fn end_of(args: &Args) {
    if args.watch {
        // Without a signal there is nothing to wait for.
        _ = tokio::signal::ctrl_c().await;
    } else {
        sleep(args.length).await;
    }
}

/// How many units the broker still counts as leased, when it has had time to hear of all ends.
async fn leases_left(target: &Target) -> Result<u64, AnyError> {
    let admin = Client::new(target.admin);
    let deadline = Instant::now() + END_WITHIN;
    loop {
        let state = admin
            .call(Method::GET, "/api/state", None, None)
            .await?
            .json();
        let leases = state["stats"]["leases"]
            .as_u64()
            .ok_or("api/state has no stats.leases")?;
        if leases == 0 || Instant::now() > deadline {
            return Ok(leases);
        }
        sleep(Duration::from_millis(50)).await;
    }
}
