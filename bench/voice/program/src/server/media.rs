//! Datagrams: who sent what when, and on to those who listen.

use std::collections::HashMap;
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, recvmmsg, setsockopt, sockopt,
};
use nix::sys::time::TimeSpec;

use super::window::{Arrival, Summary};
use crate::Error;

/// Datagrams that are taken at a time.
const BATCH: usize = 64;
const MAX_DATAGRAM: usize = 1500;
/// Datagrams are looked for so often. Nobody waits for them, so that no sender has to wake him, which would cost them more than sending.
const PAUSE: Duration = Duration::from_micros(500);
/// What waits while others use this core.
const RECEIVE_BUFFER: usize = 64 << 20;

#[derive(Default)]
struct Streams {
    channels: HashMap<u32, u64>,
    addresses: HashMap<u32, SocketAddrV4>,
    /// Those who want what others send, by channel.
    listeners: HashMap<u64, Vec<u32>>,
    window: Option<Vec<Arrival>>,
}

/// What relays the datagrams, and measures them.
#[derive(Clone, Default)]
pub struct Media(Arc<Mutex<Streams>>);

impl Media {
    /// Takes datagrams, in a thread of its own. Answers the port.
    ///
    /// # Errors
    ///
    /// Those of its socket.
    pub fn listen(&self) -> Result<u16, Error> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
        // The limit on that is root's to pass.
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER))?;
        let port = socket.local_addr()?.port();
        let media = self.clone();
        std::thread::spawn(move || {
            if let Err(error) = media.run(&socket) {
                eprintln!("datagrams: {error}");
                std::process::exit(1);
            }
        });
        Ok(port)
    }

    fn lock(&self) -> MutexGuard<'_, Streams> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session has come, and may want what others send.
    pub fn enter(&self, ssrc: u32, channel: u64, listens: bool) {
        let mut streams = self.lock();
        streams.channels.insert(ssrc, channel);
        if listens {
            streams.listeners.entry(channel).or_default().push(ssrc);
        }
    }

    /// It is gone.
    pub fn leave(&self, ssrc: u32) {
        let mut streams = self.lock();
        streams.channels.remove(&ssrc);
        streams.addresses.remove(&ssrc);
        streams.listeners.retain(|_, listeners| {
            listeners.retain(|listener| *listener != ssrc);
            !listeners.is_empty()
        });
    }

    /// Measures for so long.
    pub async fn window(&self, length: Duration) -> Summary {
        let rate = self.lock().channels.len() * 50;
        let room = rate * (length.as_secs() as usize + 1);
        self.lock().window = Some(Vec::with_capacity(room));
        tokio::time::sleep(length).await;
        let arrivals = self.lock().window.take().unwrap_or_default();
        Summary::new(&arrivals, length)
    }

    fn run(&self, socket: &UdpSocket) -> Result<(), Error> {
        let mut buffers = vec![[0; MAX_DATAGRAM]; BATCH];
        let space = nix::cmsg_space!(TimeSpec);
        loop {
            let mut headers = MultiHeaders::<SockaddrIn>::preallocate(BATCH, Some(space.clone()));
            let mut slices: Vec<_> = buffers.iter_mut().map(|b| [IoSliceMut::new(b)]).collect();
            let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
            let messages = match recvmmsg(fd, &mut headers, slices.iter_mut(), flags, None) {
                Err(Errno::EAGAIN) => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                messages => messages?,
            };
            let mut streams = self.lock();
            for message in messages {
                let (Some(from), Some(datagram)) = (message.address, message.iovs().next()) else {
                    continue;
                };
                let at = message.cmsgs()?.find_map(|cmsg| match cmsg {
                    ControlMessageOwned::ScmTimestampns(at) => {
                        Some(at.tv_sec() * 1_000_000_000 + at.tv_nsec())
                    }
                    _ => None,
                });
                let from = SocketAddrV4::new(from.ip(), from.port());
                streams.datagram(socket, datagram, from, at.ok_or("no timestamp")?)?;
            }
        }
    }
}

impl Streams {
    fn datagram(
        &mut self,
        socket: &UdpSocket,
        datagram: &[u8],
        from: SocketAddrV4,
        at: i64,
    ) -> Result<(), Error> {
        let word = |at: usize| -> Option<u32> {
            let bytes = datagram.get(at..at + 4)?;
            Some(u32::from_be_bytes(bytes.try_into().ok()?))
        };
        match (datagram, word(4), word(8)) {
            // IP discovery.
            ([0, 1, 0, 70, ..], Some(ssrc), _) if datagram.len() == 74 => {
                self.addresses.insert(ssrc, from);
                let mut answer = datagram.to_vec();
                answer[1] = 2;
                let ip = from.ip().to_string();
                answer[8..8 + ip.len()].copy_from_slice(ip.as_bytes());
                answer[72..].copy_from_slice(&from.port().to_be_bytes());
                socket.send_to(&answer, from)?;
            }
            // RTP.
            ([first, kind, high, low, ..], _, Some(ssrc))
                if first >> 6 == 2 && kind & 0x7f == 120 =>
            {
                let sequence = u16::from_be_bytes([*high, *low]);
                if let Some(window) = &mut self.window {
                    window.push(Arrival { ssrc, sequence, at });
                }
                self.relay(socket, datagram, ssrc)?;
            }
            // A keepalive.
            _ if datagram.len() == 8 => {
                socket.send_to(datagram, from)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn relay(&self, socket: &UdpSocket, datagram: &[u8], ssrc: u32) -> Result<(), Error> {
        let Some(listeners) = self
            .channels
            .get(&ssrc)
            .and_then(|own| self.listeners.get(own))
        else {
            return Ok(());
        };
        for listener in listeners.iter().filter(|listener| **listener != ssrc) {
            if let Some(address) = self.addresses.get(listener) {
                socket.send_to(datagram, address)?;
            }
        }
        Ok(())
    }
}
