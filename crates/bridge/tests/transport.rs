//! The bridge over streams that are no pipes, in this process.
#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uro_discord_bridge::{Fault, FrameSender, Media, Transport, run};
use uro_discord_wire::{FromBridge, Library, ToBridge, VERSION, frame};

struct Elixir {
    stream: DuplexStream,
    buffer: Vec<u8>,
    bridge: JoinHandle<Result<(), Fault>>,
    closed: watch::Sender<bool>,
}

impl Elixir {
    fn start() -> Self {
        let (stream, theirs) = duplex(4_096);
        let (input, output) = split(theirs);
        let (closed, is_closed) = watch::channel(false);
        let transport = Transport {
            input: Box::new(input),
            output: Box::new(output),
            closed: is_closed,
        };
        Self {
            stream,
            buffer: Vec::new(),
            bridge: tokio::spawn(run(
                transport,
                FrameSender::default(),
                Media::new(Handle::current()).unwrap(),
            )),
            closed,
        }
    }

    async fn say(&mut self, message: &ToBridge<'_>) {
        let mut bytes = Vec::new();
        frame::append(&mut bytes, |out| message.encode(out)).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn hello(&mut self, version: u32) {
        let library = Library {
            library: "0.1.0".into(),
        };
        self.say(&ToBridge::Hello { version, library }).await;
    }

    /// The bytes of the next message.
    async fn hear(&mut self) -> Vec<u8> {
        loop {
            if let Some(content) = frame::first(&self.buffer).unwrap() {
                let content = content.to_vec();
                self.buffer.drain(..frame::PREFIX + content.len());
                return content;
            }
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn it_runs_and_is_told_to_stop() {
    let mut elixir = Elixir::start();
    let hello = elixir.hear().await;
    assert!(matches!(
        FromBridge::decode(&hello).unwrap(),
        FromBridge::Hello {
            version: VERSION,
            ..
        }
    ));
    elixir.hello(VERSION).await;
    elixir.say(&ToBridge::Ping(b"\x6a")).await;
    let pong = elixir.hear().await;
    assert_eq!(
        FromBridge::decode(&pong).unwrap(),
        FromBridge::Pong(b"\x6a")
    );
    elixir.say(&ToBridge::Stop).await;
    elixir.bridge.await.unwrap().unwrap();
}

#[tokio::test]
async fn it_ends_when_the_stream_does() {
    let mut elixir = Elixir::start();
    elixir.hello(VERSION).await;
    drop(elixir.stream);
    elixir.bridge.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_does_not_read_but_closes_is_noticed_by_the_word_of_the_transport() {
    let mut elixir = Elixir::start();
    elixir.hello(VERSION).await;
    // Two that do not fit into the bridge's room, so that it waits for room and reads no more.
    let term = [&[109, 0, 16, 0, 0][..], &[0; 1 << 20]].concat();
    for _ in 0..2 {
        elixir.say(&ToBridge::Ping(&term)).await;
    }
    elixir.say(&ToBridge::Ping(b"\x6a")).await;
    elixir.closed.send_replace(true);
    elixir.bridge.await.unwrap().unwrap();
}

/// `{something_new, 1}`, in a frame.
const UNKNOWN: &[u8] = b"\0\0\0\x14\x83\x68\x02\x77\x0dsomething_new\x61\x01";

#[tokio::test]
async fn what_only_a_newer_library_knows_is_passed_over() {
    let mut elixir = Elixir::start();
    elixir.hear().await;
    elixir.hello(VERSION + 1).await;
    elixir.stream.write_all(UNKNOWN).await.unwrap();
    elixir.stream.write_all(UNKNOWN).await.unwrap();
    elixir.say(&ToBridge::Ping(b"\x6a")).await;
    let pong = elixir.hear().await;
    assert_eq!(
        FromBridge::decode(&pong).unwrap(),
        FromBridge::Pong(b"\x6a")
    );
    // What is known has the form it has here.
    let wrong = b"\0\0\0\x0e\x83\x68\x02\x77\x08identify\x6a";
    elixir.stream.write_all(wrong).await.unwrap();
    assert!(matches!(
        elixir.bridge.await.unwrap(),
        Err(Fault::Message(_))
    ));
}

#[tokio::test]
async fn an_older_library_is_served_and_says_nothing_unknown() {
    let mut elixir = Elixir::start();
    elixir.hear().await;
    elixir.hello(VERSION - 1).await;
    elixir.say(&ToBridge::Ping(b"\x6a")).await;
    let pong = elixir.hear().await;
    assert_eq!(
        FromBridge::decode(&pong).unwrap(),
        FromBridge::Pong(b"\x6a")
    );
    elixir.stream.write_all(UNKNOWN).await.unwrap();
    assert!(matches!(
        elixir.bridge.await.unwrap(),
        Err(Fault::Message(_))
    ));
}
