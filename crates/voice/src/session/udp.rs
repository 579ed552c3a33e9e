//! The way of datagrams.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::task::{Context, Poll, ready};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A UDP socket. Not tokio's: that is told whenever a datagram has left, which costs about as much as encrypting it.
pub(super) struct Udp(AsyncFd<UdpSocket>);

impl Udp {
    #[expect(
        deprecated,
        reason = "its successor is unsafe, because of types that do not keep their file descriptor"
    )]
    pub(super) fn bind(server: SocketAddr) -> io::Result<Self> {
        let any: SocketAddr = match server {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        // Nobody else's datagrams are taken.
        socket.connect(server)?;
        socket.set_nonblocking(true)?;
        AsyncFd::with_interest(socket, Interest::READABLE).map(Self)
    }

    /// Takes a datagram; answers its length.
    pub(super) fn poll_receive(
        &self,
        buffer: &mut [u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut readable = ready!(self.0.poll_read_ready(cx))?;
            if let Ok(received) = readable.try_io(|socket| socket.get_ref().recv(buffer)) {
                return Poll::Ready(received);
            }
        }
    }

    /// Whether the datagram was sent. One for which there is no room is lost, as it may be anywhere on its way.
    pub(super) fn send(&self, datagram: &[u8]) -> bool {
        self.0.get_ref().send(datagram).is_ok()
    }
}
