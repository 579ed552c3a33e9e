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

/// What the system keeps for us while we are not looking: some 100 ms of a thousand peers. It gives less where it is told to.
const SYSTEM_BUFFER: usize = 4 * 1024 * 1024;

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

    /// Sends from the address of ours that the peer knows. What the system does not take is lost, as UDP is.
    pub(super) fn send(
        &self,
        to: SocketAddr,
        from: Option<IpAddr>,
        bytes: &[u8],
    ) -> io::Result<()> {
        let transmit = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip: from,
        };
        self.io.try_io(Interest::WRITABLE, || {
            self.state.try_send(UdpSockRef::from(&self.io), &transmit)
        })
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
