//! A request's body, which is read whole.

use super::budget::{Budget, Full, Share, Turn};
use super::client::{Client, Work};
use super::refusal::Refusal;
use axum::body::Body;
use http_body_util::BodyExt as _;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// From the end of a head to the end of its body.
const BODY: Duration = Duration::from_secs(20);

/// What a body costs beside its bytes.
const OVERHEAD: usize = 4 * 1024;

/// Reads a body of at most `limit` bytes. The share is what it holds of the budget.
pub async fn read(
    mut body: Body,
    limit: u32,
    budget: &Budget,
    client: &Client,
    work: &Work,
) -> Result<(Vec<u8>, Share), Refusal> {
    let busy = |Full| Refusal::Busy;
    let until = Instant::now() + BODY;
    let most = limit as usize;
    let mut share = budget.enter(client.peer, OVERHEAD).await.map_err(busy)?;
    let mut bytes = Vec::new();
    let reading = Reading::new(work);
    loop {
        let frame = tokio::select! {
            frame = timeout_at(until, body.frame()) => frame.map_err(|_| Refusal::Timeout)?,
            () = share.evicted() => return Err(Refusal::Busy),
        };
        let data = match frame {
            None => break,
            Some(Err(_)) => return Err(Refusal::BodyBroken),
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
        };
        let length = bytes.len() + data.len();
        if length > most {
            return Err(Refusal::BodyTooLarge(limit));
        }
        if length > bytes.capacity() {
            // Budget is taken for what has come, not for what somebody says will.
            let capacity = (bytes.capacity() * 2).min(most).max(length);
            let more = capacity - bytes.capacity();
            share.grow(more).await.map_err(busy)?;
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&data);
    }
    drop(reading);
    work.has_read();
    share.turn(Turn::Ours);
    Ok((bytes, share))
}

/// While the client's body is waited for.
struct Reading<'a>(&'a Work);

impl<'a> Reading<'a> {
    fn new(work: &'a Work) -> Self {
        work.reads(true);
        Self(work)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.reads(false);
    }
}
