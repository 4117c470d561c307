//! The public interface that the second edition fixes, used line by line as it is written there:
//! other code relies on these names and types. What each of them does is tested elsewhere.

use relay_registry::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::time::Duration;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn id(n: u8) -> NodeId {
    NodeId::from([n; 32])
}

fn at(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 4433))
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A registry with one relay.
fn registry() -> Registry {
    let registry = Registry::new();
    registry.register(id(1), at(1)).unwrap();
    registry
}

#[test]
fn registering() -> Outcome {
    let registry = registry();
    let id = id(1);
    let renewed: Result<(), RenewError> = registry.renew(&id);
    renewed?;
    let unknown = registry.renew(&NodeId::from([2; 32]));
    assert_eq!(unknown, Err(RenewError::UnknownRelay));

    let endpoint2: Endpoint = "[2001:db8::1]:4433".parse()?;
    let options = RegisterOptions::new()
        .tier(0)
        .cost(1.0)
        .labels(["eu", "udp"])
        .also_at([endpoint2])
        .payload(b"...")
        .restarted(true);
    let registration: Registration = registry.register_with(id, at(1), &options)?;
    assert_ne!(registration, Registration::Returned);
    let payload: Option<Arc<[u8]>> = registry.payload(&id);
    assert_eq!(payload.as_deref(), Some(&b"..."[..]));

    // Anything that can be iterated, of anything that is text or bytes.
    let labels: Vec<String> = vec!["eu".to_owned()];
    let payload: Vec<u8> = vec![1, 2];
    let options = RegisterOptions::new().labels(&labels).payload(&payload);
    registry.register_with(id, at(1), &options.labels(labels).payload(payload))?;
    Ok(())
}

#[test]
fn the_word_of_the_operator() {
    let registry = registry();
    let id = id(7); // not held
    let told: [Result<(), OperatorError>; 3] = [
        registry.set_tier(&id, 3_u8),
        registry.set_cost(&id, 2.0_f64),
        registry.set_draining(&id, true),
    ];
    assert_eq!(told, [Ok(()); 3]);
    let lifted: bool = registry.lift(&id);
    assert!(lifted && !registry.lift(&id));

    let says = |error: OperatorError| match error {
        OperatorError::TooMany { max } => max,
        OperatorError::InvalidCost { .. } => 0,
        _ => 1,
    };
    assert_eq!(registry.set_cost(&id, 0.0).map_err(says), Err(0));
}

#[test]
fn asking() -> Outcome {
    let registry = registry();
    let options = FindOptions::new()
        .requester(id(8))
        .require(["udp"])
        .avoid(["metered"])
        .family(IpFamily::V6)
        .exclude_domains(["rack-7"])
        .units(4);
    let relay: Result<RelayInfo, FindError> = registry.find_relay_with(&id(9), &options);
    assert!(relay.is_err());
    let _ = [IpFamily::V4, IpFamily::V6];
    let names: Vec<String> = vec!["rack-7".to_owned()];
    let options = FindOptions::new()
        .exclude_domains(&names)
        .require(Vec::<String>::new())
        .avoid(&names)
        .units(0);
    let home: Result<RelayInfo, FindError> = registry.find_home_relay(&options);
    assert_eq!(home?.node_id(), id(1));
    let kept = FindOptions::new()
        .prefer(id(1))
        .prefer_with(ms(5), 0.5)
        .max_spread_cost(0.2);
    assert_eq!(registry.find_home_relay(&kept)?.node_id(), id(1));
    Ok(())
}

#[test]
fn peers() -> Outcome {
    let registry = registry();
    let peer = id(8);
    let view = PeerView::new().measured(id(1), ms(5))?;
    let borrowed: &PeerView = &view;
    let taught: usize = registry.update_peer(&peer, borrowed);
    assert_eq!(taught, 0, "it has no coordinate");
    let taught: usize = registry.update_peer(&peer, view);
    assert_eq!(taught, 0);
    let known: bool = registry.forget_peer(&peer);
    assert!(known && !registry.forget_peer(&peer));
    Ok(())
}

#[test]
fn leases_and_outcomes() -> Outcome {
    let registry = registry();
    let id = id(1);
    let lease: Lease = registry.reserve(&NodeId::from([9; 32]), &FindOptions::new().units(4))?;
    let units: u32 = lease.units();
    assert_eq!(units, 4);
    assert_eq!(lease.payload().map(<[u8]>::len), None);
    assert!(lease.succeeded());
    assert!(lease.failed(Failure::TimedOut));

    let known: [bool; 6] = [
        registry.report_load(&id, 10),
        registry.report_load_of_others(&id, 10),
        registry.reset_circuit(&id),
        registry.forget_rtt(&id),
        registry.report_success(&id),
        registry.report_failure(&id, Failure::Refused),
    ];
    assert_eq!(known, [true; 6]);
    registry.reset_circuits();
    registry.forget_rtts();
    let due: Vec<NodeId> = registry.due_for_probe(8);
    assert_eq!(due, [id]);
    Ok(())
}

#[test]
fn knowing() -> Outcome {
    let registry = registry();
    let options = RegisterOptions::new().tier(2).cost(0.5).labels(["eu"]);
    let options = options.also_at([at(3)]).failure_domain("rack-7");
    registry.register_with(id(2), at(2), &options)?;
    let relay: RelayInfo = registry.relay(&id(2)).expect("it is live");
    let (tier, cost): (u8, f64) = (relay.tier(), relay.cost());
    assert_eq!((tier, cost), (2, 0.5));
    let labels: Vec<&str> = relay.labels().collect();
    assert_eq!(labels, ["eu"]);
    let also_at: &[Endpoint] = relay.also_at();
    assert_eq!(also_at, [Endpoint::from(at(3))]);
    let (ttl, expires_in): (Duration, Duration) = (relay.ttl(), relay.expires_in());
    assert!(expires_in <= ttl + ms(100));
    let failure_domain: Option<&str> = relay.failure_domain();
    assert_eq!(failure_domain, Some("rack-7"));
    let latency_age: Option<Duration> = relay.latency_age();
    let coordinate: Option<Coordinate> = relay.coordinate();
    assert_eq!((latency_age, coordinate), (None, None));

    let stats: Stats = registry.stats();
    assert_eq!(stats.relays, 2);
    registry.close();
    let report: MaintenanceReport = registry.maintain();
    assert_eq!(report.expired, 0);
    Ok(())
}

/// Why a relay is not registered, or not handed out.
#[test]
fn reasons() {
    let registry = registry();
    let refused = |options: RegisterOptions| {
        let refused = registry.register_with(id(1), at(1), &options);
        refused.expect_err("it is not valid")
    };
    let new = RegisterOptions::new;
    let many = |from: u8| (from..from + 9).map(at);
    for (error, name) in [
        (refused(new().cost(0.0)), "InvalidCost"),
        (refused(new().labels([""])), "InvalidLabel"),
        (
            refused(new().labels((0..9).map(|n| n.to_string()))),
            "TooManyLabels",
        ),
        (refused(new().payload([0; 513])), "PayloadTooLong"),
        (refused(new().also_at(many(10))), "TooManyEndpoints"),
    ] {
        let found = match error {
            RegisterError::InvalidCost { .. } => "InvalidCost",
            RegisterError::InvalidLabel { .. } => "InvalidLabel",
            RegisterError::TooManyLabels { .. } => "TooManyLabels",
            RegisterError::PayloadTooLong { .. } => "PayloadTooLong",
            RegisterError::TooManyEndpoints { .. } => "TooManyEndpoints",
            RegisterError::TooLargeToPublish { len, max } => panic!("{len} of {max} bytes"),
            other => panic!("{other}"),
        };
        assert_eq!(found, name);
    }

    let options = FindOptions::new().require(["udp"]).max_results(1);
    let Err(FindError::NoRelaysAvailable { rejections, .. }) =
        registry.find_relay_with(&id(9), &options)
    else {
        panic!("it has no labels");
    };
    let rejections: Rejections = rejections;
    let counts: [usize; 3] = [rejections.labels, rejections.family, rejections.tier];
    assert_eq!(counts, [1, 0, 0]);
    let explanation: Explanation = registry.explain(&id(9), &options);
    let verdict: Verdict = explanation.relays()[0].verdict;
    assert!(matches!(verdict, Verdict::Labels));
    assert!(![Verdict::Family, Verdict::Tier].contains(&verdict));
}

#[test]
fn building() -> Outcome {
    let builder: RegistryBuilder = Registry::builder()
        .slow_start(Duration::ZERO)
        .rtt_lifetime(Duration::from_secs(3_600))
        .back_off(Duration::from_secs(1), Duration::from_secs(600))
        .max_peers(10_000)
        .peer_ttl(Duration::from_secs(3_600))
        .return_grace(Duration::from_secs(600))
        .max_ejected_share(0.5);
    let built: Result<Registry, BuildError> = builder.build();
    built?;
    Ok(())
}

#[test]
fn changes_and_figures() -> Outcome {
    let registry = Registry::builder().event_capacity(4_096).build()?;
    let events: Events = registry.events();
    registry.register(id(1), at(1))?;
    let received: Result<Event, RecvError> = events.recv(ms(500));
    match received? {
        Event::Joined {
            id: of,
            tick: _,
            relay,
            returned: false,
            learned: false,
            ..
        } => assert_eq!((of, relay.node_id()), (id(1), id(1))),
        other => panic!("{other:?}"),
    }
    assert_eq!(events.try_recv(), Err(RecvError::Empty));
    registry.set_draining(&id(1), true)?;
    let next: Option<Event> = pollster::block_on(events.next());
    assert!(matches!(next, Some(Event::Draining { .. })));
    registry.lift(&id(1));
    let _ = |event: Event| match event {
        Event::Updated { .. } | Event::Left { .. } | Event::Expired { .. } => 0,
        Event::CircuitOpened { .. } | Event::CircuitClosed { .. } | Event::Banned { .. } => 0,
        Event::Missed(number) => number,
        _ => 0,
    };

    let found: Result<RelayInfo, FindError> =
        pollster::block_on(registry.find_relay_async(&id(9), &FindOptions::new()));
    assert_eq!(found?.node_id(), id(1));
    let taken: Result<Lease, FindError> =
        pollster::block_on(registry.reserve_async(&id(9), &FindOptions::new()));
    assert_eq!(taken?.relay().node_id(), id(1));

    let stats: Stats = registry.stats();
    assert_eq!((stats.finds, stats.reservations), (1, 1));
    let mut names = Vec::new();
    stats.visit(&mut |metric: Metric| names.push((metric.name, metric.unit, metric.kind)));
    assert!(names.len() > 20);
    pollster::block_on(registry.closed());
    assert!(events.recv(Duration::MAX).is_ok(), "what is left");
    assert_eq!(events.recv(Duration::MAX), Err(RecvError::Closed));
    Ok(())
}

#[test]
fn ids_and_endpoints() -> Outcome {
    assert!(NodeId::from_bytes(&[1; 64]).is_ok() && NodeId::from_bytes(&[1]).is_ok());
    assert!(NodeId::from_bytes(&[1; 65]).is_err() && NodeId::from_bytes(&[]).is_err());

    let (host, port): (&str, u16) = ("relay_1.example.com", 4433);
    let named: Endpoint = Endpoint::new(host, port)?;
    let v6 = Endpoint::new("2001:db8::1", port)?;
    let v4 = Endpoint::new("192.0.2.1", port)?;
    assert_eq!(
        v4,
        Endpoint::from((IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), port))
    );
    assert_eq!(v4.to_socket_addrs()?.next(), Some(at(1)));
    assert_eq!(v6.to_socket_addrs()?.count(), 1);
    let v6_address: Ipv6Addr = "2001:db8::1".parse()?;
    assert_eq!(v6, Endpoint::from((v6_address, port)));
    assert_eq!(
        [&named, &v6, &v4].iter().max(),
        [&v6, &named, &v4].iter().max()
    );
    Ok(())
}

#[test]
fn handles_may_cross_a_panic() {
    fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    is_unwind_safe::<Registry>();
    is_unwind_safe::<Lease>();
    is_unwind_safe::<RegistryBuilder>();
}

#[cfg(feature = "serde")]
#[test]
fn ids_and_endpoints_serialise_as_their_strings() -> Outcome {
    let (id, endpoint) = (id(1), Endpoint::new("relay.example", 1)?);
    assert_eq!(serde_json::to_value(id)?, id.to_string());
    assert_eq!(serde_json::to_value(&endpoint)?, endpoint.to_string());
    Ok(())
}

/// Names that became the field's.
#[cfg(feature = "dht")]
#[test]
fn distribution() {
    use relay_registry::dht::{DhtOptions, Freshness, OfferOutcome, RejectReason};

    let _: DhtOptions = DhtOptions::new()
        .shutdown_timeout(ms(500))
        .negative_cache_ttl(ms(500))
        .max_updates_per_minute(60)
        .local_reserve(1)
        .worker_threads(1)
        .probe_threads(1)
        .learned_tier(1);
    let _: fn(&Registry, &dht::SignedRecord) -> Result<OfferOutcome, RejectReason> =
        Registry::offer_record;
    let _ = [Freshness::Fresh, Freshness::Same];

    let registry = registry();
    let is_asked_for: bool = registry.request_record(&id(2));
    assert!(!is_asked_for, "there is no DHT");
    let learned: Vec<NodeId> = registry.learned_relays();
    assert_eq!(learned, []);
    let tasks: usize = registry.run_distribution();
    assert_eq!(tasks, 0);
}
