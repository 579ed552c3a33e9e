//! The handshake, which is `erl_dist`'s, over a stream whose messages are held against a limit.
//!
//! Over TLS, OTP writes the lengths of the handshake's messages in four bytes, `erl_dist` in two: [`Messages`] turns the one into the other. It is
//! also where a message is refused that no handshake has, since `erl_dist` makes room for whatever a length says.

use crate::name::{NodeName, Pattern};
use erl_dist::DistributionFlags as Flags;
use erl_dist::handshake::{self, ClientSideHandshake, HandshakeStatus};
use erl_dist::node::{Creation, LocalNode, NodeNameError};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::compat::TokioAsyncReadCompatExt as _;
use uro_discord_wire::Secret;

/// No message of a handshake is longer: a name has 255 characters.
const MAX: usize = 1024;

/// Why there was none.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The node has another connection of this name.
    #[error(
        "{0} is connected there already: either two bridges have one name, or an earlier connection has yet to be given up"
    )]
    NameTaken(NodeName),
    /// The BEAM closed where its answer to our digest should have been.
    #[error(
        "the other side closed after our answer to its challenge, as a BEAM does that has another cookie: {0}"
    )]
    Cookie(io::Error),
    /// The other side's digest is wrong.
    #[error("the other side has another cookie")]
    OtherCookie,
    /// It does not want us.
    #[error("the other side does not allow {0} to connect")]
    NotAllowed(NodeName),
    /// Another node than was looked for.
    #[error("{found:?} answers, and only {wanted} may")]
    OtherNode {
        /// Who it is.
        found: String,
        /// Who it may be.
        wanted: Pattern,
    },
    /// It is none of OTP 25 or later.
    #[error("the other side lacks what OTP 25 and later have (flags {0:#x})")]
    TooOld(u64),
    /// The name is none to `erl_dist`.
    #[error("{0}")]
    Name(NodeNameError),
    /// Anything else.
    #[error("the handshake failed: {0}")]
    Other(#[source] handshake::HandshakeError),
}

/// Who we are, and who may be there.
pub struct Local<'a> {
    pub name: &'a NodeName,
    pub creation: u32,
    pub cookie: &'a Secret,
    pub peers: &'a Pattern,
}

/// What is asked of the other side: what is mandatory since OTP 25. We offer monitors, aliases and payloads beside it, and neither an atom cache
/// nor fragments, so that every frame is whole and stands for itself; nor that processes are spawned here.
fn flags() -> Flags {
    Flags::mandatory()
        | Flags::DIST_MONITOR
        | Flags::DIST_MONITOR_NAME
        | Flags::SEND_SENDER
        | Flags::EXIT_PAYLOAD
        | Flags::ALIAS
        | Flags::BIG_SEQTRACE_LABELS
}

/// Shakes hands, and returns the stream, of which nothing else is read, and the other side's name. To be run under a deadline.
pub async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    wide: bool,
    local: &Local<'_>,
) -> Result<(S, String), HandshakeError> {
    let name = local.name.as_str().parse().map_err(HandshakeError::Name)?;
    let mut node = LocalNode::new(name, Creation::new(local.creation));
    node.flags = flags();
    let messages = Messages::new(stream, wide).compat();
    let mut shaking = ClientSideHandshake::new(messages, node, local.cookie.reveal());
    let version = erl_dist::LOWEST_DISTRIBUTION_PROTOCOL_VERSION;
    let status = shaking.execute_send_name(version).await;
    match status.map_err(HandshakeError::Other)? {
        HandshakeStatus::Ok | HandshakeStatus::OkSimultaneous => {}
        HandshakeStatus::Alive | HandshakeStatus::Nok => {
            return Err(HandshakeError::NameTaken(local.name.clone()));
        }
        HandshakeStatus::NotAllowed | HandshakeStatus::Named { .. } => {
            return Err(HandshakeError::NotAllowed(local.name.clone()));
        }
    }
    let (messages, peer) = shaking
        .execute_rest(true)
        .await
        .map_err(|error| match error {
            handshake::HandshakeError::CookieMismatch => HandshakeError::OtherCookie,
            handshake::HandshakeError::Io(error)
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                HandshakeError::Cookie(error)
            }
            other => HandshakeError::Other(other),
        })?;
    let found = peer.name.to_string();
    if !local.peers.matches(&found) {
        let wanted = local.peers.clone();
        return Err(HandshakeError::OtherNode { found, wanted });
    }
    // The digest stands for them all where there is one: OTP 25 says them one by one.
    let each = Flags::mandatory().bits() & !Flags::MANDATORY_25_DIGEST.bits();
    let each = Flags::from_bits_truncate(each);
    if !peer.flags.contains(Flags::MANDATORY_25_DIGEST) && !peer.flags.contains(each) {
        return Err(HandshakeError::TooOld(peer.flags.bits()));
    }
    Ok((messages.into_inner().stream, found))
}

/// A stream of messages with two bytes of length, over one with as many or with four. It reads no byte beyond the message that it was asked for.
struct Messages<S> {
    stream: S,
    /// Whether its lengths have four bytes.
    wide: bool,
    reading: Reading,
    /// What was written since the last message went, and what of it has gone.
    writing: Vec<u8>,
    sent: usize,
    /// Whether `writing` has its length as the stream wants it.
    whole: bool,
}

enum Reading {
    /// The length as the stream has it: these bytes, so many of which are there.
    Length([u8; 4], usize),
    /// The length as it is wanted: these bytes, so many of which were handed out; then so many bytes of the message come.
    Told([u8; 2], usize, usize),
    /// So many bytes are left of the message.
    Body(usize),
}

impl<S> Messages<S> {
    fn new(stream: S, wide: bool) -> Self {
        Self {
            stream,
            wide,
            reading: Reading::Length([0; 4], 0),
            writing: Vec::new(),
            sent: 0,
            whole: false,
        }
    }

    fn prefix(&self) -> usize {
        if self.wide { 4 } else { 2 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Messages<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let prefix = this.prefix();
        loop {
            match &mut this.reading {
                Reading::Length(bytes, have) if *have < prefix => {
                    let mut room = ReadBuf::new(&mut bytes[*have..prefix]);
                    ready!(Pin::new(&mut this.stream).poll_read(cx, &mut room))?;
                    match room.filled().len() {
                        0 => return Poll::Ready(Ok(())),
                        read => *have += read,
                    }
                }
                Reading::Length(bytes, _) => {
                    let length = bytes[..prefix]
                        .iter()
                        .fold(0, |length, byte| length << 8 | usize::from(*byte));
                    if length == 0 || length > MAX {
                        let said = format!("a message of {length} bytes, which no handshake has");
                        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, said)));
                    }
                    // MAX fits into it.
                    this.reading = Reading::Told((length as u16).to_be_bytes(), 0, length);
                }
                Reading::Told(bytes, told, length) => {
                    let some = out.remaining().min(2 - *told);
                    out.put_slice(&bytes[*told..*told + some]);
                    *told += some;
                    if *told == 2 {
                        this.reading = Reading::Body(*length);
                    }
                    return Poll::Ready(Ok(()));
                }
                Reading::Body(0) => this.reading = Reading::Length([0; 4], 0),
                Reading::Body(left) => {
                    let some = out.remaining().min(*left);
                    let mut room = ReadBuf::new(out.initialize_unfilled_to(some));
                    ready!(Pin::new(&mut this.stream).poll_read(cx, &mut room))?;
                    let read = room.filled().len();
                    *left -= read;
                    out.advance(read);
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Messages<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writing.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    /// A message is whole when it is to be flushed.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.whole && !this.writing.is_empty() {
            if this.wide {
                this.writing.splice(..0, [0, 0]);
            }
            this.whole = true;
        }
        while this.sent < this.writing.len() {
            let left = &this.writing[this.sent..];
            match ready!(Pin::new(&mut this.stream).poll_write(cx, left))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => this.sent += sent,
            }
        }
        this.writing.clear();
        (this.sent, this.whole) = (0, false);
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[tokio::test]
    async fn lengths_of_four_bytes_become_lengths_of_two_and_back() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut messages = Messages::new(ours, true);
        theirs.write_all(b"\0\0\0\x03sokREST").await.unwrap();
        let mut message = [0; 5];
        messages.read_exact(&mut message).await.unwrap();
        assert_eq!(&message, b"\0\x03sok");
        messages.write_all(b"\0\x02").await.unwrap();
        messages.write_all(b"ab").await.unwrap();
        messages.flush().await.unwrap();
        let mut written = [0; 6];
        theirs.read_exact(&mut written).await.unwrap();
        assert_eq!(&written, b"\0\0\0\x02ab");
        // What follows the handshake is all there.
        let mut rest = [0; 4];
        messages.stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"REST");
    }

    #[tokio::test]
    async fn a_length_that_no_handshake_has_is_refused() {
        for (wide, bytes) in [
            (true, &[0, 1, 0, 0][..]),
            (false, &[0xFF, 0xFF]),
            (false, &[0, 0]),
        ] {
            let (ours, mut theirs) = tokio::io::duplex(64);
            theirs.write_all(bytes).await.unwrap();
            let error = Messages::new(ours, wide).read_u8().await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }
}
