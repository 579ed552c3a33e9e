//! The pool of connections to Discord: HTTP/2 or HTTP/1.1, kept and reused, with a dead one noticed soon.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::config::{Config, ConfigError};
use crate::connector::{self, Connector, Times, Versions};

pub(crate) type Transport = Client<Connector, Full<Bytes>>;

pub(crate) fn new(config: &Config) -> Result<Transport, ConfigError> {
    let times = Times {
        connect: config.connect_timeout,
        silence: config.attempt_timeout,
        keepalive: Some(config.idle_timeout),
    };
    let connector = connector::new(times, Versions::OneAndTwo, config.ca_file.as_deref())?;
    // A connection that hears nothing while a request waits is asked whether it lives, and is closed before the attempt
    // is over, so that the next one does not take it again.
    let probe = config.attempt_timeout / 3;
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.idle_timeout)
        .http2_keep_alive_interval(probe)
        .http2_keep_alive_timeout(probe)
        .build(connector))
}
