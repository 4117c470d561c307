//! The metrics, as a real Prometheus reads them.

use crate::support::{DEADLINE, start, until};
use broker::client::Client;
use hyper::Method;
use serde_json::{Value, json};
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::time::timeout;

/// A process that ends with its owner.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

#[tokio::test]
#[ignore = "needs prometheus"]
async fn prometheus_scrapes_the_registry_and_the_broker() {
    let it = start("registry.name = 'scraped'").await;
    it.register(1, json!({ "capacity": 5 })).await;
    let mut session = it.session((8, 9), "").await.unwrap();
    session.relay().await;

    let folder = TempDir::new().unwrap();
    let file = folder.path().join("prometheus.yml");
    let scrape = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n\
         - {{ job_name: broker, static_configs: [{{ targets: ['{}'] }}] }}\n",
        it.broker.admin
    );
    fs::write(&file, scrape).unwrap();
    let address = free_address();
    let process = Command::new("prometheus")
        .arg(format!("--config.file={}", file.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"))
        .arg("--log.level=error")
        .spawn();
    let _prometheus = Killed(process.expect("prometheus is installed"));

    let prometheus = Client::new(address);
    for (query, least) in [
        ("relay_registry_relays{registry=\"scraped\"}", 1.0),
        ("broker_sessions", 1.0),
        (
            "broker_requests_total{route=\"/v1/relays/{id}\",status=\"200\"}",
            1.0,
        ),
        ("up{job=\"broker\"}", 1.0),
    ] {
        let what = format!("{query} is at least {least}");
        until(&what, async || {
            value(&prometheus, query)
                .await
                .is_some_and(|it| it >= least)
        })
        .await;
    }
}

#[tokio::test]
#[ignore = "needs promtool"]
async fn promtool_has_nothing_to_say() {
    let it = start("registry.name = 'checked'").await;
    it.register(1, json!({})).await;
    it.session((8, 9), "").await.unwrap().relay().await;
    let text = async || {
        let answer = it
            .admin
            .call(Method::GET, "/metrics", None, None)
            .await
            .unwrap();
        String::from_utf8(answer.body.to_vec()).unwrap()
    };
    until("the registry has recorded", async || {
        text().await.contains("registry=\"checked\"")
    })
    .await;

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is installed");
    let input = promtool.stdin.take().unwrap();
    std::io::Write::write_all(&mut { input }, text().await.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// The sum of what a query finds, if it finds anything.
async fn value(prometheus: &Client, query: &str) -> Option<f64> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let path = format!("/api/v1/query?query={query}");
    let asked = prometheus.call(Method::GET, &path, None, None);
    // It takes some time to start.
    let answer: Value = timeout(DEADLINE, asked).await.ok()?.ok()?.json();
    let results = answer["data"]["result"].as_array()?;
    let values = results
        .iter()
        .map(|it| it["value"][1].as_str()?.parse::<f64>().ok());
    let values: Option<Vec<f64>> = values.collect();
    values.filter(|it| !it.is_empty()).map(|it| it.iter().sum())
}

/// An address that was free a moment ago.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
