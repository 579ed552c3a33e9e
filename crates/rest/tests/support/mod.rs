//! A server of raw bytes: what it does wrong, no well-behaved server could be made to do.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use uro_discord_rest::{Client, Config};

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Sends these bytes and goes on.
    Answer(String),
    /// Sends these bytes, closes the connection and waits for the other side to do so.
    AnswerAndClose(String),
    /// Sends these bytes and resets the connection.
    AnswerAndReset(String),
    /// Says nothing more.
    Stall,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub at: Instant,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// Its first line and headers.
    pub head: String,
}

/// Follows a script, one act a request, and answers 200 when that is used up. It ends when it is dropped.
pub struct Server {
    pub port: u16,
    seen: watch::Receiver<Vec<Seen>>,
    closed: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

impl Server {
    pub async fn start(script: impl IntoIterator<Item = Act>) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").await.unwrap(), script)
    }

    pub fn listen(listener: TcpListener, script: impl IntoIterator<Item = Act>) -> Self {
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let (seeing, seen) = watch::channel(Vec::new());
        let (closing, closed) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(
                    stream,
                    connection,
                    script.clone(),
                    seeing.clone(),
                    closing.clone(),
                ));
            }
        });
        Self {
            port,
            seen,
            closed,
            _task: task,
        }
    }

    pub fn config(&self) -> Config {
        Config {
            api_url: format!("http://127.0.0.1:{}/api/v10", self.port),
            backoff: Duration::from_millis(20),
            ..Config::new("s3cret-t0ken")
        }
    }

    pub fn client(&self) -> Client {
        Client::new(self.config()).unwrap()
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.borrow().clone()
    }

    /// Waits until so many requests have come.
    pub async fn saw(&self, count: usize) {
        self.seen
            .clone()
            .wait_for(|seen| seen.len() >= count)
            .await
            .unwrap();
    }

    /// Waits until so many connections were closed by both sides.
    pub async fn closed(&self, count: usize) {
        self.closed
            .clone()
            .wait_for(|closed| *closed >= count)
            .await
            .unwrap();
    }
}

async fn serve(
    mut stream: TcpStream,
    connection: usize,
    script: Arc<Mutex<VecDeque<Act>>>,
    seen: watch::Sender<Vec<Seen>>,
    closed: watch::Sender<usize>,
) {
    while let Some(head) = read_request(&mut stream).await {
        let act = script.lock().unwrap().pop_front();
        seen.send_modify(|seen| {
            seen.push(Seen {
                at: Instant::now(),
                connection,
                head,
            })
        });
        match act.unwrap_or_else(|| Act::Answer(ok())) {
            Act::Answer(bytes) => stream.write_all(bytes.as_bytes()).await.unwrap(),
            Act::AnswerAndClose(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
                assert!(read_request(&mut stream).await.is_none());
                return closed.send_modify(|closed| *closed += 1);
            }
            Act::AnswerAndReset(bytes) => {
                stream.write_all(bytes.as_bytes()).await.unwrap();
                return stream.set_zero_linger().unwrap();
            }
            Act::Stall => std::future::pending().await,
        }
    }
}

/// The head of the next request, whose body is read too; `None` at the end of the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(head.to_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

/// A 200 with an empty object and no rate limit headers.
pub fn ok() -> String {
    answer("200 OK", "", "{}")
}

/// `headers` are whole lines, each with its line break.
pub fn answer(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}")
}

/// A 429 of this scope, with the time in its body and, if there is a scope, in its header.
pub fn limited(scope: &str, retry_after: f64) -> String {
    let headers = match scope {
        "" => String::new(),
        scope => format!("x-ratelimit-scope: {scope}\r\nretry-after: {retry_after}\r\n"),
    };
    answer(
        "429 Too Many Requests",
        &headers,
        &format!("{{\"retry_after\": {retry_after}}}"),
    )
}
