//! The page that shows what people would see in Discord.

use axum::{Router, response::Html, routing::get};

use crate::app::App;

/// The page, at `/`.
pub fn router() -> Router<App> {
    Router::new().route("/", get(async || Html(include_str!("page.html"))))
}
