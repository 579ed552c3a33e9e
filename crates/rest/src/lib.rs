#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![warn(clippy::pedantic, clippy::indexing_slicing, unreachable_pub)]
#![allow(
    clippy::duration_suboptimal_units,
    reason = "seconds are what is counted in"
)]
#![cfg_attr(
    test,
    allow(
        clippy::pedantic,
        clippy::indexing_slicing,
        unreachable_pub,
        reason = "a test that panics has failed"
    )
)]

mod attempt;
mod body;
mod client;
mod config;
mod connector;
mod error;
mod gate;
mod limiter;
mod multipart;
pub mod poll;
mod prepared;
pub mod rate_limit;
mod request;
mod target;
mod transport;

pub use client::Client;
pub use config::{Config, ConfigError, DISCORD_API};
pub use error::{ApiError, Error, Phase};
pub use hyper::HeaderMap;
pub use hyper::header::{HeaderName, HeaderValue};
pub use limiter::Status;
#[doc(hidden)]
#[cfg(feature = "fuzzing")]
pub use limiter::script;
pub use request::{Auth, Body, File, Priority, Request, Response, Retry};
pub use secrecy::SecretString;
pub use target::{Raw, Target, Within};
pub use twilight_http::request::{Method, TryIntoRequest};
pub use twilight_http::routing::Route;
pub use uro_discord_net::tls::TlsError;
