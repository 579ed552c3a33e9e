//! Polls of servers that do as they please.
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod support;

use std::time::{Duration, Instant};

use support::{Act, Server, answer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Interval, interval};
use uro_discord_rest::HeaderMap;
use uro_discord_rest::poll::{Answer, Error, Limits, Poll};

/// Long enough for anything on loopback, so that a test that reaches it fails.
const NEVER: Duration = Duration::from_secs(60);

fn poll(time: Duration) -> Poll {
    let limits = Limits {
        time,
        ..Limits::default()
    };
    Poll::new(None, limits).unwrap()
}

async fn get(url: &str) -> Result<Answer, Error> {
    poll(NEVER).get(url, &HeaderMap::new()).await
}

fn url(server: &Server, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", server.port)
}

/// Sends `head` to each connection and then `piece`, again and again, until nobody takes it.
struct Flood {
    url: String,
    /// How many connections have ended.
    ended: watch::Receiver<usize>,
    sent: watch::Receiver<usize>,
    _task: JoinSet<()>,
}

impl Flood {
    async fn start(head: &'static str, piece: Vec<u8>, pause: Option<Duration>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/list", listener.local_addr().unwrap());
        let (ending, ended) = watch::channel(0);
        let (sending, sent) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (piece, ending, sending) = (piece.clone(), ending.clone(), sending.clone());
                connections.spawn(async move {
                    flood(stream, head, &piece, pause.map(interval), &sending).await;
                    ending.send_modify(|ended| *ended += 1);
                });
            }
        });
        Self {
            url,
            ended,
            sent,
            _task: task,
        }
    }

    async fn ended(&self, count: usize) {
        self.ended
            .clone()
            .wait_for(|ended| *ended >= count)
            .await
            .unwrap();
    }
}

async fn flood(
    mut stream: TcpStream,
    head: &str,
    piece: &[u8],
    mut pause: Option<Interval>,
    sent: &watch::Sender<usize>,
) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap() == 0 {
            return;
        }
    }
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    loop {
        if let Some(pause) = &mut pause {
            pause.tick().await;
        }
        if stream.write_all(piece).await.is_err() {
            return;
        }
        sent.send_modify(|sent| *sent += piece.len());
    }
}

#[tokio::test]
async fn an_answer_and_what_was_asked() {
    let server = Server::start([Act::Answer(answer(
        "200 OK",
        "ETag: \"1\"\r\n",
        "{\"a\": 1}",
    ))])
    .await;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer s3cret".parse().unwrap());
    let answer = poll(NEVER)
        .get(&url(&server, "/list?x=1"), &headers)
        .await
        .unwrap();
    assert_eq!((answer.status, &answer.body[..]), (200, &b"{\"a\": 1}"[..]));
    assert_eq!(answer.headers["etag"], "\"1\"");
    let head = &server.seen()[0].head;
    assert!(head.starts_with("GET /list?x=1 HTTP/1.1\r\n"), "{head}");
    for line in [
        format!("host: 127.0.0.1:{}", server.port),
        "authorization: Bearer s3cret".into(),
        "connection: close".into(),
        "accept-encoding: identity".into(),
    ] {
        assert!(head.lines().any(|other| other == line), "{line}: {head}");
    }
}

#[tokio::test]
async fn no_body_is_larger_than_the_limit_whatever_its_frames() {
    let line = "x".repeat(4096).into_bytes();
    let chunk = format!("100\r\n{}\r\n", "x".repeat(256))
        .repeat(16)
        .into_bytes();
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n\r\n", line.clone()),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n",
            line,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            chunk,
        ),
    ] {
        let flood = Flood::start(head, piece, None).await;
        let error = get(&flood.url).await.unwrap_err();
        assert!(
            matches!(error, Error::BodyTooLarge { limit: 5_242_880 }),
            "{error}"
        );
        flood.ended(1).await;
    }
}

#[tokio::test]
async fn the_body_of_another_status_is_not_read() {
    for status in ["404 Not Found", "304 Not Modified", "500 Oops", "301 Moved"] {
        let head = format!("HTTP/1.1 {status}\r\ntransfer-encoding: chunked\r\n\r\n");
        let flood = Flood::start(head.leak(), b"1000\r\n".to_vec(), None).await;
        let answer = get(&flood.url).await.unwrap();
        assert_eq!(answer.status.to_string(), status[..3]);
        assert!(answer.body.is_empty());
        flood.ended(1).await;
    }
}

#[tokio::test]
async fn no_head_is_larger_than_the_limit() {
    let many = b"x: y\r\n".repeat(512);
    let long = "x".repeat(4096).into_bytes();
    for (head, piece) in [
        ("HTTP/1.1 200 OK\r\n", many),
        ("HTTP/1.1 200 OK\r\nx: ", long.clone()),
        ("HTTP/1.1 200 ", long),
    ] {
        let flood = Flood::start(head, piece, None).await;
        let error = get(&flood.url).await.unwrap_err();
        assert!(error.to_string().contains("head is too large"), "{error}");
        flood.ended(1).await;
    }
}

#[tokio::test]
async fn a_byte_now_and_then_is_no_answer_in_time() {
    let pause = Some(Duration::from_millis(20));
    let time = Duration::from_millis(500);
    for head in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: ",
        // Answers that are none yet, without an end.
        "HTTP/1.1 100 Continue\r\n\r\n",
        "",
    ] {
        let piece = match head {
            "HTTP/1.1 100 Continue\r\n\r\n" => head.as_bytes().to_vec(),
            _ => b"x".to_vec(),
        };
        let flood = Flood::start(head, piece, pause).await;
        let begun = Instant::now();
        let answer = poll(time).get(&flood.url, &HeaderMap::new()).await;
        let error = answer.unwrap_err();
        // Letters in place of a status line are seen to be none.
        assert!(
            matches!(error, Error::Timeout { .. }) || head.is_empty(),
            "{head:?}: {error}"
        );
        assert!(begun.elapsed() < time * 8);
        flood.ended(1).await;
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_left_when_the_time_is_up_or_the_caller_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let get = |time: Duration| {
        let url = url.clone();
        tokio::spawn(async move { poll(time).get(&url, &HeaderMap::new()).await })
    };
    let waiting = get(Duration::from_millis(300));
    let (stream, _) = listener.accept().await.unwrap();
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(end_of(stream).await, "GET / HTTP/1.1");

    let waiting = get(NEVER);
    let (stream, _) = listener.accept().await.unwrap();
    waiting.abort();
    end_of(stream).await;
}

/// Reads until the other side has closed the connection; the first line of what came.
async fn end_of(mut stream: TcpStream) -> String {
    let mut text = String::new();
    // A reset is an end too.
    let _ = stream.read_to_string(&mut text).await;
    text.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_redirect_on_the_same_server_is_followed_with_all_headers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap();
    let moved = |to: &str| {
        let location = format!("location: {to}\r\n");
        Act::AnswerAndClose(answer("301 Moved", &location, "there"))
    };
    let second = format!("http://{host}/repositories/7/runs?page=1");
    let server = Server::listen(listener, [moved(&second), moved("/third")]);
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer s3cret".parse().unwrap());
    let answer = poll(NEVER)
        .get(&url(&server, "/repos/a/b/runs"), &headers)
        .await;
    assert_eq!(answer.unwrap().status, 200);
    let seen: Vec<String> = server
        .seen()
        .iter()
        .map(|seen| {
            assert!(seen.head.contains("authorization: Bearer s3cret"));
            seen.head.lines().next().unwrap().to_owned()
        })
        .collect();
    assert_eq!(
        seen,
        [
            "GET /repos/a/b/runs HTTP/1.1",
            "GET /repositories/7/runs?page=1 HTTP/1.1",
            "GET /third HTTP/1.1"
        ]
    );
}

#[tokio::test]
async fn a_redirect_to_another_server_or_without_an_end_is_not_followed() {
    let other = Server::start([]).await;
    let to_other = format!("location: {}\r\n", url(&other, "/"));
    for to in [
        to_other.as_str(),
        "location: https://example.org/\r\n",
        "location: \r\n",
    ] {
        let server = Server::start([Act::Answer(answer("302 Found", to, ""))]).await;
        let error = get(&url(&server, "/")).await.unwrap_err();
        assert!(
            matches!(error, Error::Redirect { status: 302, .. }),
            "{error}"
        );
    }
    assert!(other.seen().is_empty());

    let round = Act::AnswerAndClose(answer("302 Found", "location: /\r\n", ""));
    let server = Server::start(vec![round; 10]).await;
    let error = get(&url(&server, "/")).await.unwrap_err();
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn what_is_compressed_or_cut_short_is_an_error() {
    let gzip = answer("200 OK", "content-encoding: gzip\r\n", "xx");
    let server = Server::start([Act::Answer(gzip)]).await;
    let error = get(&url(&server, "/")).await.unwrap_err();
    assert!(matches!(error, Error::Encoded), "{error}");

    let cut = answer("200 OK", "", "{}").replace("length: 2", "length: 20");
    let server = Server::start([Act::AnswerAndReset(cut)]).await;
    let error = get(&url(&server, "/")).await.unwrap_err();
    assert!(matches!(error, Error::Broken(_)), "{error}");
}

#[tokio::test]
async fn a_server_may_have_ipv6_only() {
    let Ok(listener) = TcpListener::bind("[::1]:0").await else {
        eprintln!("skipped: this machine has no IPv6 loopback");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let server = Server::listen(listener, []);
    assert_eq!(
        get(&format!("http://[::1]:{port}/")).await.unwrap().status,
        200
    );
    assert!(
        server.seen()[0]
            .head
            .contains(&format!("host: [::1]:{port}"))
    );
}

#[tokio::test]
async fn what_is_no_address_or_not_there_says_so() {
    for url in [
        "",
        "example.com",
        "ftp://example.com/",
        "http://a:b@example.com/",
        "http:///x",
    ] {
        let error = get(url).await.unwrap_err();
        assert!(matches!(error, Error::Address(_)), "{url}: {error}");
    }
    let error = get("http://127.0.0.1:1/").await.unwrap_err();
    assert!(matches!(error, Error::Connect(_)), "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

/// The most memory that this process has had, in bytes.
#[cfg(target_os = "linux")]
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() << 10
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn floods_cost_no_memory() {
    let limits = Limits {
        time: Duration::from_secs(4),
        body: 1 << 20,
        ..Limits::default()
    };
    let before = most_memory();
    let mut floods = Vec::new();
    let mut polls = JoinSet::new();
    for _ in 0..8 {
        for (head, piece) in [
            (
                "HTTP/1.1 404 Not Found\r\n\r\n",
                "x".repeat(65_536).into_bytes(),
            ),
            ("HTTP/1.1 200 OK\r\n", b"x: y\r\n".repeat(8192)),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
                b"1\r\nx\r\n".repeat(8192),
            ),
            // Heads without an end: they take the whole time.
            ("", b"HTTP/1.1 100 Continue\r\n\r\n".repeat(1024)),
        ] {
            let flood = Flood::start(head, piece, None).await;
            let url = flood.url.clone();
            let poll = Poll::new(None, limits).unwrap();
            polls.spawn(async move { poll.get(&url, &HeaderMap::new()).await.map(|_| ()) });
            floods.push(flood);
        }
    }
    // Whether it had its 404 or its time was up: both are well.
    polls.join_all().await;
    let sent: usize = floods.iter().map(|flood| *flood.sent.borrow()).sum();
    let grown = most_memory() - before;
    eprintln!(
        "{} MiB were sent, {} MiB were used",
        sent >> 20,
        grown >> 20
    );
    // Eight bodies of 1 MiB, each twice as it grows, and buffers.
    assert!(grown < 48 << 20, "{} MiB", grown >> 20);
}
