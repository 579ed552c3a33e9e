//! The socket of voice packets, and the network in front of it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{net::UdpSocket, time::MissedTickBehavior};

use super::network::Way;
use crate::app::App;

/// The largest datagram that is read; Discord's packets are within an Ethernet frame.
const MAX_DATAGRAM: usize = 2048;
/// Datagrams that are under way at most; beyond, they are lost.
const MAX_UNDER_WAY: usize = 100_000;
/// How often senders get a report.
const REPORTS: Duration = Duration::from_secs(5);

/// Receives and relays until it is dropped.
pub async fn serve(app: App, socket: UdpSocket) {
    let mut buffer = [0; MAX_DATAGRAM];
    let mut under_way = UnderWay::default();
    let mut reports = tokio::time::interval(REPORTS);
    reports.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = under_way.next_at();
        let sleep = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            received = socket.recv_from(&mut buffer) => match received {
                Ok((length, from)) => under_way.add(&app, Way::Up, from, &buffer[..length]),
                // An ICMP message about somebody who is gone.
                Err(error) => tracing::debug!(%error, "no datagram"),
            },
            () = sleep => {}
            _ = reports.tick() => {
                let reports = app.state().receiver_reports();
                for (to, data) in reports {
                    under_way.add(&app, Way::Down, to, &data);
                }
            }
        }
        while let Some((way, address, data)) = under_way.take() {
            match way {
                Way::Down => send(&socket, address, &data).await,
                Way::Up => {
                    let answers = app.state().datagram(address, &data);
                    for (to, data) in answers {
                        under_way.add(&app, Way::Down, to, &data);
                    }
                }
            }
        }
    }
}

async fn send(socket: &UdpSocket, to: SocketAddr, data: &[u8]) {
    if let Err(error) = socket.send_to(data, to).await {
        tracing::debug!(%error, "a datagram was not sent");
    }
}

/// Datagrams on the network, by the time of their arrival.
#[derive(Default)]
struct UnderWay {
    datagrams: BTreeMap<(Instant, u64), (Way, SocketAddr, Vec<u8>)>,
    last: u64,
}

impl UnderWay {
    /// Sends a datagram on its way, as the network's conditions are.
    fn add(&mut self, app: &App, way: Way, address: SocketAddr, data: &[u8]) {
        let delays = app.state().calls.network.pass(way);
        let now = Instant::now();
        for delay in delays.into_iter().flatten() {
            if self.datagrams.len() == MAX_UNDER_WAY {
                tracing::warn!("too many datagrams are under way: one is lost");
                continue;
            }
            self.last += 1;
            self.datagrams
                .insert((now + delay, self.last), (way, address, data.to_vec()));
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.datagrams.keys().next().map(|&(at, _)| at)
    }

    /// A datagram that has arrived.
    fn take(&mut self) -> Option<(Way, SocketAddr, Vec<u8>)> {
        self.next_at().filter(|&at| at <= Instant::now())?;
        self.datagrams.pop_first().map(|(_, datagram)| datagram)
    }
}
