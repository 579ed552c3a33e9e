//! The page that shows what people would see in Discord, and the one in which they see an Activity.

use std::sync::LazyLock;

use axum::{
    Router,
    http::{HeaderName, header},
    response::Html,
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use ring::digest;

use crate::{app::App, state::seed};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

const ACTIVITY: &str = include_str!("activity.js");
const ACTIVITY_STYLE: &str = include_str!("activity.css");

/// What is between Discord's client and an Activity's frame, see `activity.js`.
const RELAY: &str = include_str!("relay.js");

/// The page around an Activity.
static ACTIVITY_PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("activity.html")
        .replace("\"APPLICATION\"", &format!("\"{}\"", seed::APPLICATION))
        .replace("/* activity.css */", ACTIVITY_STYLE)
        .replace("/* relay.js */", RELAY)
        .replace("/* activity.js */", ACTIVITY)
});

/// Frames inherit it where they have no address of their own, as the relay.
static ACTIVITY_POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; connect-src 'self'; img-src data:; frame-src data: http: https:; base-uri 'none'; form-action 'none'; \
         style-src '{}'; script-src '{}' '{}'",
        source(ACTIVITY_STYLE),
        source(ACTIVITY),
        source(RELAY)
    )
});

/// The page, with its style and script in it.
static PAGE: LazyLock<String> = LazyLock::new(|| {
    include_str!("page.html")
        .replace("/* page.css */", STYLE)
        .replace("/* page.js */", SCRIPT)
});

/// Nothing but the page's own style and script is applied, whatever a message contains.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; connect-src 'self'; img-src http: https: data:; base-uri 'none'; form-action 'none'; \
         style-src '{}'; script-src '{}'",
        source(STYLE),
        source(SCRIPT)
    )
});

/// Names an inline style or script in a content security policy.
pub fn source(text: &str) -> String {
    format!(
        "sha256-{}",
        STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()))
    )
}

/// The page, at `/`, and the one around an Activity.
pub fn router() -> Router<App> {
    Router::new()
        .route("/", get(page))
        .route("/activity", get(activity))
}

async fn activity() -> ([(HeaderName, &'static str); 2], Html<&'static str>) {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, ACTIVITY_POLICY.as_str()),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(ACTIVITY_PAGE.as_str()))
}

async fn page() -> ([(HeaderName, &'static str); 2], Html<&'static str>) {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY.as_str()),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, Html(PAGE.as_str()))
}
