//! The page, in a real browser: what a person sees is what the broker does.
//!
//! Ignored by default, since it needs Chromium and its driver: `cargo test --test browser -- --ignored`. Pictures go to
//! `target/tmp/screenshots`.

mod browser;
mod world;

use browser::Browser;
use serde_json::json;
use world::{World, peer, place, relay, view};

/// The row of a relay in the table.
fn row(n: u16, part: &str) -> String {
    format!("#relay-rows tr[data-id='{}'] {part}", relay(n))
}

const FIRST_DECISION: &str = "#decision-list li:first-child button";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver"]
async fn the_page_shows_relays_sessions_and_decisions_as_they_change() {
    let world = World::start().await;
    world.register(1, json!({ "labels": ["eu", "udp"] })).await;
    world
        .register(2, json!({ "labels": ["udp"], "failure_domain": "rack-7" }))
        .await;
    let browser = Browser::open(&world.page()).await;
    browser.wait_for("#connection", "Live").await;
    browser
        .wait_for(&row(1, "th"), "relay-1.example:4433")
        .await;
    browser.wait_for(&row(2, ".badge"), "eligible").await;
    browser.wait_for(&row(1, ""), "eu").await;
    browser
        .wait_for("#map-empty", "No relay has a position yet")
        .await;
    browser
        .wait_for("#decision-note", "No pair has asked for a relay yet")
        .await;

    // A relay that comes later.
    world.register(3, json!({})).await;
    browser
        .wait_for(&row(3, "th"), "relay-3.example:4433")
        .await;
    browser
        .wait_for("#change-list", "relay-3.example:4433")
        .await;
    browser.wait_for("#relay-count", "3").await;

    // Sessions, on the best relay, until they end.
    world
        .send_view(
            peer(1),
            view(
                place(0.0, 0.0),
                &[(1, place(5.0, 0.0)), (2, place(80.0, 0.0))],
            ),
        )
        .await;
    let session = world.begin(peer(1), peer(2)).await;
    browser.wait_for("#sessions", "1").await;
    browser.wait_for(&row(1, ".load"), "1 of 10, 10 %").await;
    let width = browser
        .get(&format!(
            "document.querySelector({:?}).style.width",
            row(1, ".fill")
        ))
        .await;
    assert_eq!(width, "10%");
    drop(session);
    browser.wait_for(&row(1, ".load"), "0 of 10, 0 %").await;
    browser.wait_for("#sessions", "0").await;

    // The decision, and what it was compared with.
    browser
        .wait_for(FIRST_DECISION, "via relay-1.example:4433")
        .await;
    browser.click(FIRST_DECISION).await;
    browser
        .wait_for("#decision .answer", "relay-1.example:4433")
        .await;
    browser.wait_for("#decision tr.chosen", "published").await;
    browser
        .wait_for("#decision tbody", "relay-2.example:4433")
        .await;
    assert_eq!(
        browser
            .get(&format!(
                "document.querySelector({FIRST_DECISION:?}).ariaPressed"
            ))
            .await,
        "true"
    );
    let kept = browser.text("#decision h3").await;
    drop(world.begin(peer(3), peer(4)).await);
    browser.click("#decision .tools button").await;
    browser.wait_for("#decision .more", "All relays").await;
    assert_eq!(browser.text("#decision h3").await, kept);

    // A relay that drains is shown as such, by a word.
    world.set_draining(2, true).await;
    browser.wait_for(&row(2, ".badge"), "draining").await;
    browser.wait_for("#state-words", "1 draining").await;
    browser
        .wait_for("#change-list", "drains: it takes no new sessions")
        .await;

    // Rows can be found and sorted.
    browser.write("#relay-filter", "draining").await;
    browser.wait_for("#relay-note", "1 of 3 relays match").await;
    assert_eq!(
        browser
            .get("document.querySelectorAll('#relay-rows tr').length")
            .await,
        1
    );
    browser.click("[data-sort=state]").await;
    assert_eq!(
        browser
            .get("document.querySelector('[aria-sort] button').dataset.sort")
            .await,
        "state"
    );

    browser.look("dark", 390).await;
    browser.picture("few-dark-narrow").await;
    // Beside a scroll bar there is less room, but nothing is wider.
    assert_eq!(
        browser
            .get("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
            .await,
        true
    );
    browser.look("light", 1280).await;
    browser.picture("few-light").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver"]
async fn the_map_shows_where_relays_and_peers_are() {
    let world = World::start().await;
    let places = [
        (1, place(-60.0, 10.0)),
        (2, place(0.0, -20.0)),
        (3, place(70.0, 30.0)),
    ];
    for (n, _) in places {
        world.register(n, json!({})).await;
    }
    // All around the relays, four times, and never along the circle: positions come from many directions.
    for n in (0..96_u16).map(|n| 7 * n % 24) {
        let angle = f32::from(n) * std::f32::consts::TAU / 24.0;
        let at = place(80.0 * angle.cos(), 50.0 * angle.sin());
        world.send_view(peer(n), view(at, &places)).await;
    }
    let browser = Browser::open(&world.page()).await;
    browser.wait_for("#map .names", "relay-3.example").await;
    assert_eq!(
        browser
            .get("document.querySelectorAll('#map .relay').length")
            .await,
        3
    );
    let session = world.begin(peer(0), peer(12)).await;
    browser.wait_for("#map .ends", "requester").await;
    browser.wait_for("#map .ends", "target").await;
    assert_eq!(
        browser
            .get("document.querySelectorAll('#map line.path').length")
            .await,
        2
    );
    // Distances in the picture are round trips: relays 1 and 3 are farthest apart.
    let lengths = browser.get("(() => {
        const at = [...document.querySelectorAll('#map .names text')].map((it) => [it.textContent, it.getAttribute('x'), it.getAttribute('y')]);
        const of = (n) => at.find(([name]) => name === `relay-${n}.example`).slice(1).map(Number);
        const apart = (a, b) => Math.hypot(of(a)[0] - of(b)[0], of(a)[1] - of(b)[1]);
        return [apart(1, 3), apart(1, 2), apart(2, 3)];
    })()").await;
    let [far, near, middle] = [0, 1, 2].map(|n| lengths[n].as_f64().expect("a length"));
    assert!(far > middle && middle > near && near > 0.0, "{lengths}");
    browser.look("light", 1280).await;
    browser.picture("map-light").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    drop(session);
    browser.close().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver"]
async fn what_relays_say_is_shown_as_text() {
    let world = World::start().await;
    let hostile = [
        "<img src=x onerror=alert(1)>",
        "<script>alert(2)</script>",
        "\u{202e}desrever",
        "${alert(3)}",
    ];
    world
        .register(
            1,
            json!({ "labels": hostile, "failure_domain": "<b>rack</b>" }),
        )
        .await;
    let browser = Browser::open(&world.page()).await;
    for label in hostile {
        browser.wait_for(&row(1, "td:last-child"), label).await;
    }
    drop(world.begin(peer(1), peer(2)).await);
    browser.click(FIRST_DECISION).await;
    browser.click("#decision .tools button").await;
    browser.wait_for("#decision .more", "All relays").await;
    assert_eq!(
        browser
            .get("document.querySelectorAll('img, main script, main b').length")
            .await,
        0
    );
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.picture("hostile").await;
    browser.close().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver"]
async fn no_script_runs_but_that_of_the_page() {
    let world = World::start().await;
    let browser = Browser::open(&world.page()).await;
    browser.wait_for("#connection", "Live").await;
    let attempt = "(() => { try { document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit = 1\">'); return 'markup'; } catch (error) { return error.name; } })()";
    assert_eq!(browser.get(attempt).await, "TypeError");
    let image = "(() => { const it = new Image(); it.src = 'https://192.0.2.1/x.png'; document.body.append(it); })()";
    browser.get(image).await;
    assert_eq!(
        browser.get("window.hit ?? null").await,
        serde_json::Value::Null
    );
    let complaints = browser.complaints().await.join("\n");
    assert!(
        complaints.contains("Content Security Policy"),
        "{complaints}"
    );
    browser.close().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver"]
async fn the_page_says_that_the_broker_is_gone_and_comes_back_with_it() {
    let world = World::start().await;
    world.register(1, json!({})).await;
    let browser = Browser::open(&world.page()).await;
    browser.wait_for(&row(1, "th"), "relay-1").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());

    let address = world.end().await;
    browser.wait_for("#connection", "Disconnected since").await;
    browser.look("light", 1280).await;
    browser.picture("disconnected").await;

    let world = World::start_at(address).await;
    world.register(2, json!({})).await;
    browser.wait_for("#connection", "Live").await;
    browser.wait_for(&row(2, "th"), "relay-2").await;
    assert_eq!(browser.text(&row(1, "th")).await, "");
    drop(world.begin(peer(1), peer(2)).await);
    browser.wait_for(FIRST_DECISION, "via relay-2").await;
    browser.close().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs chromium-driver"]
async fn a_thousand_relays_and_none_can_be_read() {
    let world = World::start().await;
    let browser = Browser::open(&world.page()).await;
    browser
        .wait_for("#relay-empty", "No relay is registered")
        .await;
    browser
        .wait_for("#map-empty", "There is no relay to place")
        .await;
    browser.look("dark", 1280).await;
    browser.picture("none-dark").await;
    for n in 0..1_000 {
        world.register(n, json!({ "labels": ["udp"] })).await;
    }
    browser.wait_for("#relay-count", "1,000").await;
    browser
        .wait_for("#relay-note", "200 of its 1,000 relays")
        .await;
    assert_eq!(
        browser
            .get("document.querySelectorAll('#relay-rows tr').length")
            .await,
        200
    );
    browser.picture("many-dark").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    world.end().await;
}
