//! A bad network: passes UDP on to a server and back, loses some datagrams and holds up each by another time.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    net::SocketAddr,
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    net::UdpSocket,
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Datagrams of a client that may be under way; what is beyond is lost, as on a real line.
const UNDER_WAY: usize = 1_000;

/// How bad it is.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// The share that is lost, each way.
    pub loss: f64,
    /// Each is held up by a time between nothing and this, so that they overtake each other.
    pub jitter: Duration,
    /// The same seed makes the same decisions.
    pub seed: u64,
}

/// It ends when it is dropped.
pub struct Relay {
    pub address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Relay {
    pub async fn start(server: SocketAddr, conditions: Conditions) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), server, conditions).await
    }

    pub async fn start_at(address: SocketAddr, server: SocketAddr, conditions: Conditions) -> Self {
        let socket = std::sync::Arc::new(UdpSocket::bind(address).await.unwrap());
        let address = socket.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut clients = HashMap::new();
            // Those of the clients: they end with this one.
            let mut lines = JoinSet::new();
            let mut random = fastrand::Rng::with_seed(conditions.seed);
            let mut buffer = vec![0; 2_048];
            loop {
                // A client that has gone makes an error of what was sent to it.
                let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
                    continue;
                };
                let line = clients.entry(from).or_insert_with(|| {
                    let (sender, receiver) = mpsc::channel(UNDER_WAY);
                    let random = random.fork();
                    let socket = std::sync::Arc::clone(&socket);
                    lines.spawn(line(socket, from, server, receiver, conditions, random));
                    sender
                });
                let _ = line.try_send(Bytes::copy_from_slice(&buffer[..length]));
            }
        });
        Self {
            address,
            _tasks: tasks,
        }
    }
}

/// Of one client.
async fn line(
    socket: std::sync::Arc<UdpSocket>,
    client: SocketAddr,
    server: SocketAddr,
    mut from_client: mpsc::Receiver<Bytes>,
    conditions: Conditions,
    mut random: fastrand::Rng,
) {
    let upstream = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    upstream.connect(server).await.unwrap();
    let mut under_way = BinaryHeap::new();
    let mut number = 0_u64;
    let mut buffer = vec![0; 2_048];
    loop {
        let next = under_way
            .peek()
            .map(|Reverse((due, ..)): &Reverse<(Instant, u64, bool, Bytes)>| *due);
        let (upwards, datagram) = tokio::select! {
            datagram = from_client.recv() => match datagram {
                Some(datagram) => (true, datagram),
                None => return,
            },
            length = upstream.recv(&mut buffer) => match length {
                Ok(length) => (false, Bytes::copy_from_slice(&buffer[..length])),
                // The server is not there yet, or not any more.
                Err(_) => continue,
            },
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                if let Some(Reverse((_, _, upwards, datagram))) = under_way.pop() {
                    // One that cannot be sent is lost.
                    let _ = match upwards {
                        true => upstream.send(&datagram).await,
                        false => socket.send_to(&datagram, client).await,
                    };
                }
                continue;
            }
        };
        let held_up = conditions.jitter.mul_f64(random.f64());
        if random.f64() >= conditions.loss && under_way.len() < UNDER_WAY {
            number += 1;
            under_way.push(Reverse((
                Instant::now() + held_up,
                number,
                upwards,
                datagram,
            )));
        }
    }
}
