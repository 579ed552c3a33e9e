//! What the programs share: what they are told, and the frames that they send.

use std::path::PathBuf;

use tokio::sync::mpsc;

pub mod server;

/// Bytes of an Opus packet: 48 kbit/s.
pub const FRAME: usize = 120;

/// How many sessions join at a time.
pub const JOINING: usize = 16;

/// What a program ends with.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// The arguments of a program with sessions.
pub struct Args {
    /// The voice server, `host:port`.
    pub endpoint: String,
    /// The certificate that its voice server has; none if that has no TLS.
    pub ca_file: Option<PathBuf>,
    /// With end-to-end encryption.
    pub dave: bool,
    /// Whether it wants what others send.
    pub listen: bool,
    /// The users follow each other.
    pub first_user: u64,
    /// The first of the guilds of discord-sim that they are in, one in each. Without it two are in a channel.
    first_guild: Option<u64>,
}

/// How far apart the guilds are that discord-sim adds.
const GUILD_STEP: u64 = 1 << 22;

impl Args {
    /// Those of the command line.
    ///
    /// # Errors
    ///
    /// When they are not what is wanted; it says what that is.
    pub fn parse() -> Result<Self, Error> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        let [
            endpoint,
            ca_file,
            dave,
            listen,
            first_user,
            first_guild @ ..,
        ] = &args[..]
        else {
            return Err(
                "ENDPOINT CA_FILE|plain dave|clear listen|speak FIRST_USER [FIRST_GUILD]".into(),
            );
        };
        Ok(Self {
            endpoint: endpoint.clone(),
            ca_file: (ca_file != "plain").then(|| ca_file.into()),
            dave: dave == "dave",
            listen: listen == "listen",
            first_user: first_user.parse()?,
            first_guild: first_guild.first().map(|id| id.parse()).transpose()?,
        })
    }

    /// The guild of a user.
    pub fn guild(&self, user: u64) -> u64 {
        match self.first_guild {
            Some(first) => first + (user - self.first_user) * GUILD_STEP,
            None => user / 2,
        }
    }

    /// His channel in it.
    pub fn channel(&self, user: u64) -> u64 {
        self.guild(user) + self.offset()
    }

    /// What a channel's id is beyond its guild's: discord-sim counts on from there.
    fn offset(&self) -> u64 {
        u64::from(self.first_guild.is_some())
    }

    /// What the server of this benchmark reads from a token.
    pub fn token(&self) -> String {
        let dave = if self.dave { "dave" } else { "clear" };
        let listen = if self.listen { "listen" } else { "speak" };
        format!("{dave},{listen},{}", self.offset())
    }
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
    /// It ends.
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
///
/// # Errors
///
/// Where there is no /proc.
pub fn held() -> std::io::Result<(usize, usize)> {
    let count = |path| Ok::<_, std::io::Error>(std::fs::read_dir(path)?.count());
    Ok((count("/proc/self/task")?, count("/proc/self/fd")?))
}
