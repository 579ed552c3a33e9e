//! What the programs share: what they are told, and the frames that they send.

use std::path::PathBuf;

use tokio::sync::mpsc;

pub mod server;

/// Bytes of an Opus packet: 48 kbit/s.
pub const FRAME: usize = 120;

/// How many sessions join at a time.
pub const JOINING: usize = 16;

pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The arguments of a program with sessions.
pub struct Args {
    /// The voice server, `host:port`.
    pub endpoint: String,
    pub ca_file: PathBuf,
    /// With end-to-end encryption.
    pub dave: bool,
    /// Whether it wants what others send.
    pub listen: bool,
    /// The users follow each other. Two are in a channel.
    pub first_user: u64,
}

impl Args {
    pub fn parse() -> Result<Self, Error> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [endpoint, ca_file, dave, listen, first_user] = &args[..] else {
            return Err("ENDPOINT CA_FILE dave|clear listen|speak FIRST_USER".into());
        };
        Ok(Self {
            endpoint: endpoint.clone(),
            ca_file: ca_file.into(),
            dave: dave == "dave",
            listen: listen == "listen",
            first_user: first_user.parse()?,
        })
    }

    /// What the server of this benchmark reads from a token.
    pub fn token(&self) -> String {
        let dave = if self.dave { "dave" } else { "clear" };
        let listen = if self.listen { "listen" } else { "speak" };
        format!("{dave},{listen}")
    }
}

/// The channel, and guild, of a user.
pub fn channel(user: u64) -> u64 {
    user / 2
}

/// A line of stdin.
pub enum Order {
    /// So many sessions are wanted.
    Sessions(usize),
    /// They begin to speak.
    Speak,
    /// How many frames came?
    Frames,
    /// How many tasks, threads and file descriptors are there?
    Alive,
    /// Measure for so many seconds.
    Window(u64),
    End,
}

/// The lines of stdin, and the end.
pub fn orders() -> mpsc::UnboundedReceiver<Order> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
            let number: usize = number.parse().unwrap_or(0);
            let order = match word {
                "sessions" => Order::Sessions(number),
                "speak" => Order::Speak,
                "frames" => Order::Frames,
                "alive" => Order::Alive,
                "window" => Order::Window(number as u64),
                _ => Order::End,
            };
            if sender.send(order).is_err() {
                return;
            }
        }
        // It fails when nobody takes orders any more.
        let _ = sender.send(Order::End);
    });
    receiver
}

/// Opus packets of 20 ms, CELT, stereo (TOC 0xfc). What follows the TOC may be anything, and is noise.
pub fn opus(count: usize) -> Vec<[u8; FRAME]> {
    let mut state = 0x9e37_79b9_u32;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 24) as u8
    };
    let frame = |_| {
        let mut frame: [u8; FRAME] = std::array::from_fn(|_| byte());
        frame[0] = 0xfc;
        frame
    };
    (0..count).map(frame).collect()
}

/// What this process holds: threads, and file descriptors.
pub fn held() -> std::io::Result<(usize, usize)> {
    let count = |path| Ok::<_, std::io::Error>(std::fs::read_dir(path)?.count());
    Ok((count("/proc/self/task")?, count("/proc/self/fd")?))
}
