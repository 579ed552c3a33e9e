//! Bodies of answers, which others write: as many bytes as they have, up to a limit.

#![warn(clippy::arithmetic_side_effects)]

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

/// Why there is no body.
#[derive(Debug)]
pub(crate) enum Failure<E> {
    TooLarge,
    Broken(E),
}

/// The whole body, if it has at most `limit` bytes. Frames are copied together as they come: to keep them would cost more
/// than the limit, where each is a single byte.
pub(crate) async fn read<B>(mut body: B, limit: usize) -> Result<Bytes, Failure<B::Error>>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Failure::Broken)?.into_data() else {
            continue;
        };
        if data.len() > limit.saturating_sub(whole.len()) {
            return Err(Failure::TooLarge);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
