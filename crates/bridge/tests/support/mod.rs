//! The real program on real pipes, as Elixir would run it.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)]

pub mod sim;

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::process::{ExitStatus, Stdio};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, duplex, split};
use tokio::process::{Child, Command};
use tokio::runtime::{Builder, Handle};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;
use uro_discord_bridge::{Core, Fault, FrameSender, Media, Transport, run_in_window};
use uro_discord_wire::{
    Active, FromBridge, GatewayState, Level, Library, ToBridge, VERSION, etf, frame,
};

/// Longer than anything here takes, so that a hang fails.
const PATIENCE: Duration = Duration::from_secs(30);

pub async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    let result = timeout(PATIENCE, future).await;
    result.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

/// A running bridge: the program, or the library in a thread.
pub struct Bridge<P = Program> {
    pub process: P,
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    pub frames: Frames,
    /// Whether a shard that waits for the permission to identify is given it by [`Bridge::next`], and nobody sees it waiting.
    pub permits: bool,
}

pub struct Program {
    pub child: Child,
    stderr: JoinHandle<String>,
}

pub struct Thread {
    kill: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

/// A message that costs a credit.
#[derive(Debug)]
pub struct Paid {
    pub shard: u32,
    pub session: String,
    pub sequence: u64,
    /// Type and data, unless it only tells the sequence.
    pub event: Option<(String, Value)>,
}

/// What the bridge says.
pub struct Frames {
    stdout: Box<dyn AsyncRead + Send + Unpin>,
    buffer: Vec<u8>,
    /// How long the next message may take.
    pub patience: Duration,
    /// The number of the last question whether calls and portals may be held; 0: there was none.
    asked: u64,
    /// The lines of its log, which come between the messages and are not among them.
    pub log: Vec<Line>,
}

/// A line of the bridge's log.
#[derive(Debug)]
pub struct Line {
    pub level: Level,
    pub target: String,
    pub message: String,
    pub fields: Map<String, Value>,
}

/// How a bridge ended.
pub struct Ended {
    pub status: ExitStatus,
    pub log: Vec<Line>,
    /// Panics, and nothing else.
    pub stderr: String,
}

impl Ended {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// What its log says on that level.
    pub fn logs(&self, level: Level) -> Vec<&str> {
        let lines = self.log.iter().filter(|line| line.level == level);
        lines.map(|line| line.message.as_str()).collect()
    }
}

/// One message's bytes.
pub struct Message(Vec<u8>);

impl Message {
    pub fn decode(&self) -> FromBridge<'_> {
        FromBridge::decode(&self.0).unwrap()
    }

    /// The type of an event, without a look at its data.
    pub fn event_kind(&self) -> Option<&str> {
        let mut term = etf::Reader::new(&self.0).unwrap();
        if (term.tuple().unwrap(), term.atom().unwrap()) != (6, "event") {
            return None;
        }
        let _: (u32, &str, u64) = (
            term.value().unwrap(),
            term.value().unwrap(),
            term.value().unwrap(),
        );
        Some(term.value().unwrap())
    }
}

impl Frames {
    fn new(stdout: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self {
            stdout: Box::new(stdout),
            buffer: Vec::new(),
            patience: PATIENCE,
            asked: 0,
            log: Vec::new(),
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        loop {
            if let Some(message) = self.take() {
                return message;
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let read = timeout(self.patience, self.stdout.read_buf(&mut self.buffer)).await;
        let read = read.expect("waited in vain for a message").unwrap();
        assert_ne!(read, 0, "the bridge ended: {:?}", self.log);
    }

    /// The next message that is there in full.
    fn take(&mut self) -> Option<Message> {
        while let Some(content) = frame::first(&self.buffer).unwrap() {
            let message = Message(content.to_vec());
            self.buffer.drain(..frame::PREFIX + message.0.len());
            let FromBridge::Log {
                level,
                target,
                message,
                fields,
            } = message.decode()
            else {
                // It asks each half second whether it may go on.
                if let FromBridge::Renew(number) = message.decode() {
                    self.asked = number;
                    continue;
                }
                return Some(message);
            };
            self.log.push(Line {
                level,
                target: target.into_owned(),
                message: message.into_owned(),
                fields,
            });
        }
        None
    }

    /// Everything up to the end, of which the log is kept.
    async fn drain(&mut self) {
        while self.stdout.read_buf(&mut self.buffer).await.unwrap() > 0 {
            while self.take().is_some() {}
        }
        while self.take().is_some() {}
    }
}

impl Bridge {
    pub fn start() -> Self {
        Self::spawn("info")
    }

    fn spawn(filter: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_uro-discord-bridge"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .env("URO_DISCORD_LOG", filter)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stderr = child.stderr.take().unwrap();
        Self {
            stdin: Box::new(child.stdin.take().unwrap()),
            frames: Frames::new(child.stdout.take().unwrap()),
            permits: true,
            process: Program {
                stderr: tokio::spawn(async move {
                    let mut text = String::new();
                    stderr.read_to_string(&mut text).await.unwrap();
                    text
                }),
                child,
            },
        }
    }

    /// A bridge with the hellos exchanged, and a lease for longer than any test.
    pub async fn greeted() -> Self {
        Self::greet(Self::start()).await
    }

    /// The same, with more or less in its log.
    pub async fn with_log(filter: &str) -> Self {
        Self::greet(Self::spawn(filter)).await
    }

    pub fn os_pid(&self) -> u32 {
        self.process.child.id().unwrap()
    }

    /// The most memory that it ever held, in bytes.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.os_pid())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub async fn kill(mut self) {
        self.process.child.kill().await.unwrap();
    }

    /// Closes its stdin and waits for its end.
    pub async fn close(self) -> Ended {
        drop(self.stdin);
        self.process.ended(self.frames).await
    }

    /// Waits for its end, with its stdin open.
    pub async fn ended(self) -> Ended {
        let ended = self.process.ended(self.frames).await;
        drop(self.stdin);
        ended
    }
}

impl Program {
    /// Nobody reads stdout, nor is it closed, until the process is gone.
    async fn ended(mut self, mut frames: Frames) -> Ended {
        let status = patiently("the bridge's end", self.child.wait()).await;
        frames.drain().await;
        Ended {
            status: status.unwrap(),
            log: frames.log,
            stderr: self.stderr.await.unwrap(),
        }
    }
}

impl Bridge<Thread> {
    /// The same for a Discord that counts commands in another time.
    pub async fn in_window(window: Duration) -> Self {
        let (ours, theirs) = duplex(1 << 20);
        let (stdout, stdin) = split(ours);
        let (input, output) = split(theirs);
        let (kill, killed) = oneshot::channel();
        let run = async move {
            let (_open, closed) = watch::channel(false);
            let media = Media::new(Handle::current()).unwrap();
            let transport = Transport {
                input: Box::new(input),
                output: Box::new(output),
                closed,
            };
            tokio::select! {
                ended = run_in_window(transport, FrameSender::default(), media, window) => ended.unwrap(),
                // With the runtime all goes that runs in it, and nobody says goodbye.
                _ = killed => {}
            }
        };
        let thread = thread::spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run);
        });
        Self::greet(Self {
            process: Thread { kill, thread },
            stdin: Box::new(stdin),
            frames: Frames::new(stdout),
            permits: true,
        })
        .await
    }

    pub async fn kill(self) {
        self.process.kill.send(()).unwrap();
        let thread = self.process.thread;
        patiently("its end", spawn_blocking(|| thread.join().unwrap()))
            .await
            .unwrap();
    }
}

/// The bridge as it runs elsewhere: one Uro comes after the other.
pub struct Elsewhere {
    uros: mpsc::UnboundedSender<Option<Transport>>,
    thread: thread::JoinHandle<()>,
}

/// That a Uro is there.
pub struct Attached(watch::Sender<bool>);

impl Elsewhere {
    /// One that keeps for so long what a Uro does not speak of.
    pub fn start(keep: Duration) -> Self {
        let (uros, mut coming) = mpsc::unbounded_channel();
        let run = async move {
            let media = Media::new(Handle::current()).unwrap();
            let window = Duration::from_secs(62);
            let mut core = Core::start(&FrameSender::outliving(), &media, window).unwrap();
            loop {
                let uro = tokio::select! {
                    biased;
                    ended = core.ended() => panic!("{ended:?}"),
                    uro = coming.recv() => uro,
                };
                let Some(uro) = uro else { break };
                match uro {
                    Some(transport) => match core.serve(transport, keep).await.unwrap() {
                        Ok(()) | Err(Fault::Lapsed) => {}
                        Err(fault) => panic!("{fault}"),
                    },
                    None => core.give_up(),
                }
            }
            core.end().await.unwrap();
        };
        let thread = thread::spawn(|| {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run);
        });
        Self { uros, thread }
    }

    /// Another one comes, when those before have gone.
    pub async fn attach(&self) -> Bridge<Attached> {
        let (ours, theirs) = duplex(1 << 20);
        let (stdout, stdin) = split(ours);
        let (input, output) = split(theirs);
        let (open, closed) = watch::channel(false);
        let transport = Transport {
            input: Box::new(input),
            output: Box::new(output),
            closed,
        };
        self.uros.send(Some(transport)).unwrap();
        Bridge::greet(Bridge {
            process: Attached(open),
            stdin: Box::new(stdin),
            frames: Frames::new(stdout),
            permits: true,
        })
        .await
    }

    /// Nobody has come for too long.
    pub fn give_up(&self) {
        self.uros.send(None).unwrap();
    }

    pub async fn end(self) {
        drop(self.uros);
        let thread = self.thread;
        patiently("its end", spawn_blocking(|| thread.join().unwrap()))
            .await
            .unwrap();
    }
}

impl<P> Bridge<P> {
    async fn greet(mut bridge: Self) -> Self {
        assert!(matches!(
            bridge.next().await.decode(),
            FromBridge::Hello {
                version: VERSION,
                ..
            }
        ));
        bridge.hello(VERSION).await;
        bridge.say(&ToBridge::Lease(3_600_000)).await;
        bridge
    }

    pub async fn hello(&mut self, version: u32) {
        let library = Library {
            library: "0.1.0".into(),
        };
        self.say(&ToBridge::Hello { version, library }).await;
    }

    pub async fn say(&mut self, message: &ToBridge<'_>) {
        let mut bytes = Vec::new();
        frame::append(&mut bytes, |out| message.encode(out)).unwrap();
        self.stdin.write_all(&bytes).await.unwrap();
    }

    pub async fn desire(&mut self, parts: Value) {
        let Value::Object(parts): Value = parts else {
            panic!("the desired state is a map");
        };
        self.say(&ToBridge::Desired(parts)).await;
    }

    pub async fn desire_nothing(&mut self) {
        let parts = Map::from_iter([
            ("gateway".into(), Value::Null),
            ("presence".into(), Value::Null),
        ]);
        self.say(&ToBridge::Desired(parts)).await;
    }

    /// The number of a later question than this whether calls and portals may be held. What comes before is passed over.
    pub async fn asked_after(&mut self, number: u64) -> u64 {
        while self.frames.asked <= number {
            self.frames.read().await;
            while self.frames.take().is_some() {}
        }
        self.frames.asked
    }

    pub async fn credit(&mut self, more: u32) {
        self.say(&ToBridge::Credit(more)).await;
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        loop {
            let message = self.frames.next().await;
            let FromBridge::Gateway {
                shard,
                state: GatewayState::Waiting,
            } = message.decode()
            else {
                return message;
            };
            if !self.permits {
                return message;
            }
            self.say(&ToBridge::Identify(shard)).await;
        }
    }

    /// The next message that `wanted` makes something of; those before are passed over.
    pub async fn until<T>(&mut self, wanted: impl Fn(FromBridge<'_>) -> Option<T>) -> T {
        loop {
            if let Some(found) = wanted(self.next().await.decode()) {
                return found;
            }
        }
    }

    /// The next fact about the gateway.
    pub async fn state(&mut self) -> GatewayState {
        self.until(|message| match message {
            FromBridge::Gateway { shard: 0, state } => Some(state),
            _ => None,
        })
        .await
    }

    /// The next fact about any shard.
    pub async fn fact(&mut self) -> (u32, GatewayState) {
        self.until(|message| match message {
            FromBridge::Gateway { shard, state } => Some((shard, state)),
            _ => None,
        })
        .await
    }

    /// Waits until each of so many shards has a session that runs.
    pub async fn all_active(&mut self, shards: usize) -> BTreeMap<u32, Active> {
        let mut all = BTreeMap::new();
        while all.len() < shards {
            if let (shard, GatewayState::Active(active)) = self.fact().await {
                all.insert(shard, active);
            }
        }
        all
    }

    /// The next message that costs a credit.
    pub async fn paid(&mut self) -> Paid {
        self.until(|message| match message {
            FromBridge::Event {
                shard,
                session,
                sequence,
                kind,
                data,
            } => Some(Paid {
                shard,
                session: session.into_owned(),
                sequence,
                event: Some((kind.into_owned(), serde_json::from_str(&data).unwrap())),
            }),
            FromBridge::Sequence {
                shard,
                session,
                sequence,
            } => Some(Paid {
                shard,
                session: session.into_owned(),
                sequence,
                event: None,
            }),
            _ => None,
        })
        .await
    }

    /// Waits until a session runs, and gives its id.
    pub async fn active(&mut self) -> String {
        loop {
            if let GatewayState::Active(active) = self.state().await {
                return active.session_id;
            }
        }
    }

    /// The next event's data and the next running session, in whichever order they come.
    pub async fn event_and_active(&mut self) -> (Value, Active) {
        let (mut event, mut active) = (None, None);
        while event.is_none() || active.is_none() {
            match self.next().await.decode() {
                FromBridge::Event { data, .. } => event = serde_json::from_str(&data).unwrap(),
                FromBridge::Gateway {
                    state: GatewayState::Active(state),
                    ..
                } => active = Some(state),
                _ => {}
            }
        }
        (event.unwrap(), active.unwrap())
    }

    /// The next presence that was sent, by the state of its first activity.
    pub async fn presence(&mut self) -> String {
        self.until(|message| match message {
            FromBridge::Presence { shard: 0, data } => Some(
                data["activities"][0]["state"]
                    .as_str()
                    .unwrap_or("")
                    .to_owned(),
            ),
            _ => None,
        })
        .await
    }

    /// The next event's sequence number, type and data.
    pub async fn event(&mut self) -> (u64, String, Value) {
        self.until(|message| match message {
            FromBridge::Event {
                sequence,
                kind,
                data,
                ..
            } => Some((
                sequence,
                kind.into_owned(),
                serde_json::from_str(&data).unwrap(),
            )),
            _ => None,
        })
        .await
    }

    /// A ping there and back; nothing that costs a credit may come in between.
    pub async fn no_event_before_pong(&mut self) {
        self.say(&ToBridge::Ping(b"\x6a")).await;
        self.until(|message| match message {
            FromBridge::Pong(_) => Some(()),
            FromBridge::Event { sequence, kind, .. } => {
                panic!("an event without credit: {kind} {sequence}")
            }
            FromBridge::Sequence { sequence, .. } => {
                panic!("a sequence without credit: {sequence}")
            }
            _ => None,
        })
        .await;
    }
}
