//! A server on a port for TLS, with certificates of the test's own authority.

use relay_registry::dht::{
    Change, Coverage, DhtError, Network, Redis, RedisTls, RedisTlsBuilder, RedisTlsError, RelayDht,
    conformance,
};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::hostile::engine_of;
use super::server::Server;
use super::watching::changes;
use super::{read, read_by, shortly, soon};
use crate::relays::announced;

/// An authority that issues certificates, in a folder that is removed at the end of the test.
struct Authority {
    folder: PathBuf,
}

impl Authority {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("relay-redis-tls-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a temporary directory");
        let authority = Self { folder };
        authority.certify("ca", &["-addext", "basicConstraints=critical,CA:TRUE"]);
        authority
    }

    /// A certificate for a server with this name, such as `DNS:localhost`.
    fn certify_server(&self, name: &str) {
        self.issue("server", &["-addext", &format!("subjectAltName={name}")]);
    }

    /// A certificate that this authority issues.
    fn issue(&self, name: &str, args: &[&str]) {
        let (ca, key) = (self.path("ca.pem"), self.path("ca.key"));
        self.certify(name, &[&["-CA", &ca, "-CAkey", &key], args].concat());
    }

    fn certify(&self, name: &str, args: &[&str]) {
        let output = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-subj", &format!("/CN={name}")])
            .args(["-out", &self.path(&format!("{name}.pem"))])
            .args(["-keyout", &self.path(&format!("{name}.key"))])
            .args(args)
            .output()
            .expect("there is openssl, which ci/redis.sh installs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
    }

    fn path(&self, file: &str) -> String {
        self.folder.join(file).display().to_string()
    }

    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.folder.join(file)).expect(file)
    }

    /// A server with a certificate for 127.0.0.1, which wants one of its clients or not.
    fn start(&self, auth_clients: &str) -> Server {
        self.certify_server("IP:127.0.0.1");
        self.serve(auth_clients)
    }

    fn serve(&self, auth_clients: &str) -> Server {
        let files = ["server.pem", "server.key", "ca.pem"].map(|file| self.path(file));
        let [certificate, key, authority] = &files;
        Server::with_tls(&[
            "--tls-cert-file",
            certificate,
            "--tls-key-file",
            key,
            "--tls-ca-cert-file",
            authority,
            "--tls-auth-clients",
            auth_clients,
            "--requirepass",
            "secret",
        ])
    }

    /// Trusts this authority, and no other.
    fn trusted(&self) -> RedisTlsBuilder {
        RedisTls::builder()
            .system_roots(false)
            .root_certificates(&self.read("ca.pem"))
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn engine(server: &Server, tls: RedisTlsBuilder) -> Redis {
    engine_of_network(server, tls, Network::default())
}

fn engine_of_network(server: &Server, tls: RedisTlsBuilder, network: Network) -> Redis {
    Redis::builder(network)
        .tls(tls.build().expect("valid certificates"))
        .url(&format!("rediss://:secret@127.0.0.1:{}", server.port()))
        .expect("a URL")
        .build()
}

/// Why nothing is written to, and read from, a server.
fn refusal(dht: &Redis) -> String {
    let record = announced(1, 1);
    let refused = dht.put(&record, soon());
    let Err(DhtError::Rejected { reason }) = &refused else {
        panic!("not rejected: {refused:?}");
    };
    let unread = dht.get(&record.node_id(), None, soon(), &mut |candidate| {
        panic!("nothing can be read: {candidate:?}")
    });
    assert!(
        matches!(unread, Err(DhtError::Rejected { .. })),
        "{unread:?}"
    );
    assert!(reason.starts_with("TLS: "), "{reason}");
    reason.to_string()
}

#[test]
#[ignore = "needs openssl"]
fn certificates_and_keys_that_are_none_are_typed_errors_without_the_key() {
    let authority = Authority::new();
    let (certificate, key) = (authority.read("ca.pem"), authority.read("ca.key"));
    authority.certify_server("DNS:redis.test");
    let other_key = authority.read("server.key");

    let both = [&certificate[..], &authority.read("server.pem")].concat();
    let all = RedisTls::builder()
        .root_certificates(&both)
        .identity(&certificate, &key)
        .server_name("redis.test");
    let shown = format!("{all:?}");
    let shown = format!("{shown} {:?}", all.build().expect("they are valid"));
    assert!(
        shown.contains("redis.test") && !shown.contains("[45, 45"),
        "{shown}"
    );

    for bad in [&b""[..], b"junk", &key, &certificate[..200]] {
        let error = RedisTls::builder().root_certificates(bad).build();
        assert!(
            matches!(error, Err(RedisTlsError::InvalidRoot { .. })),
            "{error:?}"
        );
    }
    for (chain, bad_key) in [
        (&b""[..], &key[..]),
        (b"junk", &key),
        (&certificate, b""),
        (&certificate, b"junk"),
        (&certificate, &certificate),
        (&certificate, &key[..100]),
        (&certificate, &other_key),
    ] {
        let error = RedisTls::builder().identity(chain, bad_key).build();
        let error = error.expect_err("it is no identity");
        assert!(
            matches!(error, RedisTlsError::InvalidIdentity { .. }),
            "{error:?}"
        );
        let part_of_key = String::from_utf8_lossy(&key[40..60]).into_owned();
        assert!(!error.to_string().contains(&part_of_key), "{error}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn an_engine_over_tls_passes_the_suite() {
    let authority = Authority::new();
    let server = authority.start("no");
    let network = Network::new(b"conformance").expect("a short tag");
    let make = || engine_of_network(&server, authority.trusted(), network);
    conformance::check(make, &network);
}

/// TLS has a state of its own, which a read that ends at its deadline must not break.
#[test]
#[ignore = "needs redis-server"]
fn a_node_that_waited_in_vain_still_hears_of_changes() {
    let authority = Authority::new();
    let server = authority.start("no");
    let dht = engine(&server, authority.trusted());
    assert_eq!(changes(&dht, soon()), Ok(vec![Change::Missed]));
    for number in 1..=3 {
        assert_eq!(changes(&dht, shortly()), Ok(vec![]));
        let record = announced(1, number);
        dht.put(&record, soon()).expect("it is stored");
        let changed = vec![Change::Relay(record.node_id())];
        assert_eq!(changes(&dht, soon()), Ok(changed));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_was_killed_is_used_again_when_it_is_back() {
    let authority = Authority::new();
    let mut server = authority.start("no");
    let dht = engine(&server, authority.trusted());
    let record = announced(1, 1);
    dht.put(&record, soon()).expect("it is stored");
    assert_eq!(changes(&dht, soon()), Ok(vec![Change::Missed]));
    server.kill();
    assert_eq!(changes(&dht, soon()), Err(DhtError::Unreachable));
    assert_eq!(dht.put(&record, soon()), Err(DhtError::Unreachable));
    server.start_again();
    assert_eq!(changes(&dht, soon()), Ok(vec![Change::Missed]));
    dht.put(&record, soon()).expect("it is stored again");
    // The connection that is kept is closed by a restart: the request is sent on another.
    server.kill();
    server.start_again();
    dht.put(&record, soon()).expect("it is stored once more");
    assert_eq!(read(&dht, &record.node_id()), [record]);
}

#[test]
#[ignore = "needs redis-server"]
fn a_paused_server_holds_no_call_beyond_its_deadline_over_tls() {
    let authority = Authority::new();
    let server = authority.start("no");
    let (old, new) = (
        engine(&server, authority.trusted()),
        engine(&server, authority.trusted()),
    );
    let record = announced(1, 1);
    old.put(&record, soon()).expect("it is stored");
    server.pause();
    for dht in [&old, &new] {
        assert_eq!(dht.put(&record, shortly()), Err(DhtError::Timeout));
        let unread = read_by(dht, &record.node_id(), shortly());
        assert_eq!(unread, (vec![], 0, Coverage::Unreachable));
    }
    server.resume();
    for dht in [&old, &new] {
        assert_eq!(read(dht, &record.node_id()), std::slice::from_ref(&record));
    }
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_whose_certificate_is_of_an_unknown_authority_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.start("no");
    for stranger in [other.trusted(), RedisTls::builder()] {
        let reason = refusal(&engine(&server, stranger));
        assert!(reason.contains("self-signed certificate"), "{reason}");
    }
    // Without a word on TLS but the scheme of the URL, too.
    let dht = Redis::builder(Network::default())
        .url(&format!("rediss://:secret@127.0.0.1:{}", server.port()))
        .expect("a URL")
        .build();
    refusal(&dht);
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_whose_certificate_has_another_name_is_refused() {
    let authority = Authority::new();
    authority.certify_server("DNS:redis.test");
    let server = authority.serve("no");
    let reason = refusal(&engine(&server, authority.trusted()));
    assert!(reason.contains("IP address mismatch"), "{reason}");
    for wrong in ["redis.test.example", "127.0.0.1", "test"] {
        refusal(&engine(&server, authority.trusted().server_name(wrong)));
    }
    let dht = engine(&server, authority.trusted().server_name("redis.test"));
    dht.put(&announced(1, 1), soon()).expect("it is stored");
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_may_want_a_certificate_of_the_node() {
    let authority = Authority::new();
    let server = authority.start("yes");
    let reason = refusal(&engine(&server, authority.trusted()));
    assert!(reason.contains("certificate required"), "{reason}");
    let identified = |by: &Authority| {
        by.issue("node", &[]);
        let (chain, key) = (by.read("node.pem"), by.read("node.key"));
        engine(&server, authority.trusted().identity(&chain, &key))
    };
    let dht = identified(&authority);
    dht.put(&announced(1, 1), soon()).expect("it is stored");
    refusal(&identified(&Authority::new()));
}

#[test]
#[ignore = "needs redis-server"]
fn a_server_that_speaks_no_tls_is_never_written_to() {
    let server = Server::with_args(&["--requirepass", "secret"]);
    let dht = engine(&server, RedisTls::builder());
    // It waits for the end of what it takes for a line.
    let unanswered = dht.put(&announced(1, 1), shortly());
    assert_eq!(unanswered, Err(DhtError::Timeout));
    let noise = engine_of(
        |builder| builder.tls(tls()),
        |mut stream| {
            let _ = stream.write_all(b"-ERR Protocol error: unbalanced quotes in request\r\n");
            let mut all = Vec::new();
            let _ = std::io::Read::read_to_end(&mut stream, &mut all);
        },
    );
    assert!(refusal(&noise).contains("wrong version number"));
}

#[test]
fn a_server_that_never_shakes_hands_holds_no_call_beyond_its_deadline() {
    let silent = |mut stream: std::net::TcpStream| {
        let mut all = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut all);
    };
    // A record of TLS that never ends, a byte at a time.
    let dripping = |mut stream: std::net::TcpStream| {
        let mut bytes = [22, 3, 3, 64, 0].into_iter().chain(std::iter::repeat(2));
        while stream.write_all(&[bytes.next().unwrap_or(2)]).is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    };
    let with_tls = |builder: relay_registry::dht::RedisBuilder| builder.tls(tls());
    for dht in [engine_of(with_tls, silent), engine_of(with_tls, dripping)] {
        assert_eq!(dht.put(&announced(1, 1), shortly()), Err(DhtError::Timeout));
        let unread = read_by(&dht, &announced(1, 1).node_id(), shortly());
        assert_eq!(unread, (vec![], 0, Coverage::Unreachable));
    }
}

#[test]
fn a_connection_that_breaks_during_the_handshake_is_unreachable() {
    let dht = engine_of(|builder| builder.tls(tls()), drop);
    assert_eq!(
        dht.put(&announced(1, 1), soon()),
        Err(DhtError::Unreachable)
    );
}

fn tls() -> RedisTls {
    RedisTls::builder().build().expect("the system has TLS")
}
