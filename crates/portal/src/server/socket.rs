//! One UDP socket, in batches.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket as StdSocket};
use std::task::{Context, Poll};

use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use socket2::{Domain, Protocol, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// Datagrams of one system call.
const BATCH: usize = 16;

/// What the system keeps for us while we are not looking: some 100 ms of a thousand peers. It gives less where `net.core.rmem_max` and `wmem_max` say so.
const SYSTEM_BUFFER: usize = 4 * 1024 * 1024;

/// Bytes of datagrams that are sent together: what an IP packet can say of its length.
const TOGETHER: usize = 60_000;

/// Bytes of a datagram; WebRTC stays below 1,300.
const DATAGRAM: usize = 2048;

pub(super) struct Socket {
    io: UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
}

/// Where datagrams are read to.
pub(super) struct Buffers {
    bytes: Vec<u8>,
    each: usize,
    metas: [RecvMeta; BATCH],
}

impl Socket {
    /// To be called within a runtime of tokio.
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = socket2::Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            // IPv4 has its own socket, perhaps on the same port.
            socket.set_only_v6(true)?;
        }
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(SYSTEM_BUFFER)?;
        socket.set_send_buffer_size(SYSTEM_BUFFER)?;
        // Linux counts its own bookkeeping too, and so says twice what it gives.
        let twice = if cfg!(target_os = "linux") { 2 } else { 1 };
        let given = socket.recv_buffer_size()? / twice;
        if given < SYSTEM_BUFFER {
            tracing::warn!(
                given,
                wanted = SYSTEM_BUFFER,
                "the system keeps fewer bytes of UDP for portals than wanted, and loses packets where many come at once: set sysctl net.core.rmem_max and net.core.wmem_max"
            );
        }
        socket.bind(&address.into())?;
        let io = UdpSocket::from_std(StdSocket::from(socket))?;
        Ok(Self {
            state: UdpSocketState::new(UdpSockRef::from(&io))?,
            address: io.local_addr()?,
            io,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_recv_ready(context)
    }

    /// Reads one batch: each datagram, where it is from, and which address of ours it came to. Whether there may be more.
    pub(super) fn receive(
        &self,
        buffers: &mut Buffers,
        mut each: impl FnMut(&[u8], SocketAddr, Option<IpAddr>),
    ) -> io::Result<bool> {
        let Buffers {
            bytes,
            each: size,
            metas,
        } = buffers;
        let mut slices: Vec<IoSliceMut<'_>> =
            bytes.chunks_mut(*size).map(IoSliceMut::new).collect();
        let count = self.io.try_io(Interest::READABLE, || {
            self.state
                .recv(UdpSockRef::from(&self.io), &mut slices, metas)
        })?;
        for (slice, meta) in slices.iter().zip(metas.iter()).take(count) {
            let whole = slice.get(..meta.len).unwrap_or_default();
            // The system may have put several datagrams of one sender together.
            for datagram in whole.chunks(meta.stride.max(1)) {
                each(datagram, meta.addr, meta.dst_ip);
            }
        }
        Ok(count == BATCH)
    }

    /// Datagrams that one system call takes.
    pub(super) fn segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    /// Sends what is together. What the system does not take is lost, as UDP is.
    pub(super) fn send(&self, batch: &Batch) -> io::Result<()> {
        let Some(route) = batch.route else {
            return Ok(());
        };
        let send = |contents, segment_size| {
            let transmit = Transmit {
                destination: route.to,
                ecn: None,
                contents,
                segment_size,
                src_ip: route.from,
            };
            self.io.try_io(Interest::WRITABLE, || {
                self.state.try_send(UdpSockRef::from(&self.io), &transmit)
            })
        };
        let sent = send(&batch.bytes, Some(batch.each));
        if sent.is_err() && batch.count > 1 && self.segments() == 1 {
            // The system, or the network card, cannot do that after all, which is known from now on.
            let mut datagrams = batch.bytes.chunks(batch.each);
            return datagrams.try_for_each(|datagram| send(datagram, None));
        }
        sent
    }
}

/// Where a datagram goes, by which socket, and from which address of ours, as the peer knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) socket: usize,
    pub(super) to: SocketAddr,
    pub(super) from: Option<IpAddr>,
}

/// Datagrams of one route that one system call sends (UDP_SEGMENT): all of one length, but for the last one, which may be shorter.
#[derive(Default)]
pub(super) struct Batch {
    route: Option<Route>,
    bytes: Vec<u8>,
    each: usize,
    count: usize,
}

impl Batch {
    /// Takes one more; not if it is for another route, or cannot be behind those that are there.
    pub(super) fn add(&mut self, route: Route, segments: usize, datagram: &[u8]) -> bool {
        match self.route {
            None => {
                self.each = datagram.len();
                self.route = Some(route);
            }
            Some(same) => {
                let whole = self.bytes.len() == self.each.saturating_mul(self.count);
                let bytes = self.bytes.len().saturating_add(datagram.len());
                let fits = whole
                    && datagram.len() <= self.each
                    && !datagram.is_empty()
                    && self.count < segments
                    && bytes <= TOGETHER;
                if same != route || !fits {
                    return false;
                }
            }
        }
        self.bytes.extend_from_slice(datagram);
        self.count = self.count.saturating_add(1);
        true
    }

    pub(super) fn route(&self) -> Option<Route> {
        self.route
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn clear(&mut self) {
        self.route = None;
        self.bytes.clear();
        self.count = 0;
    }
}

impl Buffers {
    pub(super) fn new(sockets: &[Socket]) -> Self {
        let segments = sockets.iter().map(|socket| socket.state.gro_segments());
        let each = segments.max().unwrap_or(1).saturating_mul(DATAGRAM);
        Self {
            bytes: vec![0; each.saturating_mul(BATCH)],
            each,
            metas: [RecvMeta::default(); BATCH],
        }
    }
}

/// The addresses that peers are told of a socket: the public ones of its family, or the one it is bound to, or what this machine
/// uses towards others.
pub(super) fn candidates(bound: SocketAddr, public: &[IpAddr]) -> Vec<SocketAddr> {
    let of_family = |ip: &&IpAddr| ip.is_ipv4() == bound.is_ipv4();
    let mut ips: Vec<IpAddr> = public.iter().filter(of_family).copied().collect();
    if ips.is_empty() && !bound.ip().is_unspecified() {
        ips.push(bound.ip());
    }
    if ips.is_empty() {
        ips.extend(outward(bound.is_ipv4()));
        ips.push(if bound.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
        ips.dedup();
    }
    ips.into_iter()
        .map(|ip| SocketAddr::new(ip, bound.port()))
        .collect()
}

/// The address that the system would send from to the internet. Nothing is sent: a UDP socket that connects only asks the routes.
fn outward(v4: bool) -> Option<IpAddr> {
    // Addresses of documentation (RFC 5737, RFC 3849).
    let (any, far): (IpAddr, IpAddr) = if v4 {
        (
            Ipv4Addr::UNSPECIFIED.into(),
            Ipv4Addr::new(203, 0, 113, 1).into(),
        )
    } else {
        let far = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        (Ipv6Addr::UNSPECIFIED.into(), far.into())
    };
    let socket = StdSocket::bind((any, 0)).ok()?;
    socket.connect((far, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> Socket {
        Socket::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap()
    }

    fn to(socket: &Socket) -> Route {
        Route {
            socket: 0,
            to: socket.address(),
            from: None,
        }
    }

    #[tokio::test]
    async fn what_is_sent_together_comes_one_by_one() {
        let (near, far) = (socket(), socket());
        let (route, elsewhere) = (to(&far), to(&near));
        let mut batch = Batch::default();
        for number in 0..3 {
            assert!(batch.add(route, 64, &[number; 100]));
        }
        assert!(!batch.add(elsewhere, 64, &[3; 100]), "another's");
        assert!(!batch.add(route, 64, &[3; 101]), "longer");
        assert!(!batch.add(route, 3, &[3; 100]), "too many");
        assert!(batch.add(route, 64, &[3; 40]));
        assert!(!batch.add(route, 64, &[4; 40]), "behind a shorter one");
        assert_eq!(batch.count(), 4);
        near.io.writable().await.unwrap();
        near.send(&batch).unwrap();
        let mut seen = Vec::new();
        let sockets = [far];
        let mut buffers = Buffers::new(&sockets);
        while seen.len() < 4 {
            sockets[0].io.readable().await.unwrap();
            let received = sockets[0].receive(&mut buffers, |datagram, from, _| {
                assert_eq!(from, near.address());
                seen.push(datagram.to_vec());
            });
            assert!(received.is_ok() || received.unwrap_err().kind() == io::ErrorKind::WouldBlock);
        }
        let sent = [vec![0; 100], vec![1; 100], vec![2; 100], vec![3; 40]];
        assert_eq!(seen, sent);
        batch.clear();
        assert!(batch.add(elsewhere, 64, &[5; 200]));
    }
}
