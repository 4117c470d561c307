//! The page: files that are part of the program, and the headers that keep it from running anything else.
//!
//! The script is plain modules, one for each part of the page. What relays say of themselves becomes text, and never
//! markup; the policy below stops what would slip through.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::routing::get;

/// Only what this broker serves is run, shown or asked, and no text is made into markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

/// The file of that name beside this one.
macro_rules! asset {
    ($path:expr, $name:literal, $kind:literal) => {
        Asset {
            path: $path,
            kind: $kind,
            text: include_str!($name),
        }
    };
    ($name:literal, $kind:literal) => {
        asset!(concat!("/", $name), $name, $kind)
    };
}

const ASSETS: &[Asset] = &[
    asset!("/", "index.html", "text/html; charset=utf-8"),
    asset!("style.css", "text/css; charset=utf-8"),
    asset!("icon.svg", "image/svg+xml"),
    asset!("page.js", "text/javascript; charset=utf-8"),
    asset!("changes.js", "text/javascript; charset=utf-8"),
    asset!("decisions.js", "text/javascript; charset=utf-8"),
    asset!("figures.js", "text/javascript; charset=utf-8"),
    asset!("map.js", "text/javascript; charset=utf-8"),
    asset!("projection.js", "text/javascript; charset=utf-8"),
    asset!("relays.js", "text/javascript; charset=utf-8"),
    asset!("states.js", "text/javascript; charset=utf-8"),
    asset!("stream.js", "text/javascript; charset=utf-8"),
    asset!("text.js", "text/javascript; charset=utf-8"),
];

/// The routes of the page.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(|| async { response(asset) }))
    })
}

fn response(asset: &Asset) -> impl axum::response::IntoResponse + use<> {
    let headers = [
        (CONTENT_TYPE, asset.kind),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // The files change with the program only; but a page must not mix files of two versions.
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, asset.text)
}
