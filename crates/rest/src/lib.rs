//! Discord's REST API, within its limits.
//!
//! [`Client::send`] takes a [`Request`] and gives a [`Response`] or says why not. In between it waits for Discord's rate
//! limits (learned from every response), retries what may be retried, and stops before Discord bans the address.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use uro_discord_rest::{Client, Config, Method, Request};
//!
//! let client = Client::new(Config::new(std::env::var("DISCORD_BOT_TOKEN")?))?;
//! let request = Request::new(Method::POST, "channels/81384788765712384/messages");
//! let response = client.send(request.json(r#"{"content": "hello"}"#)).await?;
//! println!("{}", response.status);
//! # Ok(())
//! # }
//! ```
//!
//! What is not Discord's is asked with [`poll`].
//!
//! # twilight-http
//!
//! With the feature `twilight` a request that twilight-http made, of a `Route` or by a typed builder (`TryIntoRequest`), is a
//! [`Request`] by `try_from`. Its client and its limiter (0.18) are not used: the limiter learns from 429s only (it reads no
//! headers of an answer without `X-RateLimit-Scope`), and so runs into each limit; the client sends a 429 without that
//! header again at once and for ever, has no deadline for a whole call and no cap on answers, and its errors have lost the
//! headers, which say how long to wait. It is a judge of discord-sim (`crates/sim/tests/twilight_http.rs`).
#![forbid(unsafe_code)]

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
mod route;
mod transport;
#[cfg(feature = "twilight")]
mod twilight;

pub use client::Client;
pub use config::{Config, ConfigError, DISCORD_API};
pub use error::{ApiError, Error, Phase};
pub use hyper::header::{HeaderName, HeaderValue};
pub use hyper::{HeaderMap, Method};
pub use limiter::Status;
#[doc(hidden)]
#[cfg(feature = "fuzzing")]
pub use limiter::script;
pub use request::{Auth, Body, File, Path, Priority, Request, Response, Retry};
pub use secrecy::SecretString;
