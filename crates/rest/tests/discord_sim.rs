//! The client against discord-sim, which counts as Discord does and rejects what comes too early.
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

use std::time::Duration;

use discord_sim::{Info, Options, Sim, TlsMode};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use twilight_model::http::attachment::Attachment;
use twilight_model::id::Id;
use uro_discord_rest::{
    Auth, Body, Client, Config, Error, File, Method, Raw, Request, Retry, Route, Target,
};

async fn start(tls: bool) -> Sim {
    Sim::start(Options {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: if tls { TlsMode::Only } else { TlsMode::Off },
        channels: 0,
        bots: 0,
    })
    .await
    .unwrap()
}

fn config(info: &Info) -> Config {
    Config {
        api_url: info.api.clone(),
        ca_file: info.ca_file.clone(),
        ..Config::new(info.token.clone())
    }
}

/// What the control interface answers.
async fn control(info: &Info, method: Method, path: &str, body: Option<Value>) -> Value {
    let raw = Raw {
        method,
        within: None,
        path,
    };
    let mut request = Request::new(Target::try_from(raw).unwrap());
    if let Some(body) = body {
        request = request.json(body.to_string());
    }
    let client = Client::new(Config {
        api_url: info.control.clone(),
        ..Config::new("none")
    })
    .unwrap();
    let response = client
        .send(Request {
            auth: Auth::None,
            ..request
        })
        .await
        .unwrap();
    serde_json::from_slice(&response.body).unwrap_or_default()
}

fn message(channel: &str, content: &str) -> Request {
    let channel_id = channel.parse().unwrap();
    Request::new(&Route::CreateMessage { channel_id })
        .json(json!({ "content": content }).to_string())
}

fn messages(channel: &str) -> Route<'static> {
    Route::GetMessages {
        after: None,
        around: None,
        before: None,
        channel_id: channel.parse().unwrap(),
        limit: None,
    }
}

#[tokio::test]
async fn nothing_is_sent_too_early() {
    let sim = start(false).await;
    let info = sim.info();
    let client = Client::new(config(info)).unwrap();
    let mut calls = JoinSet::new();
    let mut send = |request: Request| {
        let client = client.clone();
        calls.spawn(async move { client.send(request).await });
    };
    for name in ["announcements", "status", "builds", "general", "world"] {
        let channel = &info.channels[name];
        for i in 0..12 {
            send(message(channel, &i.to_string()));
            send(Request::new(&messages(channel)));
            let channel_id = channel.parse().unwrap();
            send(Request::new(&Route::GetChannel { channel_id }));
        }
    }
    for _ in 0..30 {
        send(Request::new(&Route::GetCurrentUser));
    }
    let count = calls.len();
    assert!(count > 100);
    for result in calls.join_all().await {
        result.unwrap();
    }
    let expected = json!({ "too_early": 0, "over_global": 0, "invalid_requests": 0 });
    assert_eq!(
        control(info, Method::Get, "limits", None).await,
        expected,
        "of {count} requests"
    );
}

#[tokio::test]
async fn a_message_with_a_file_arrives() {
    let sim = start(false).await;
    let info = sim.info();
    let client = Client::new(config(info)).unwrap();
    let channel = &info.channels["announcements"];
    let file = File {
        name: "log \"1\".txt".into(),
        content_type: Some("text/plain".into()),
        data: "hello".into(),
    };
    let body = Body::Multipart {
        json: Some(r#"{"content": "see"}"#.into()),
        files: vec![file],
    };
    let channel_id = channel.parse().unwrap();
    let response = client
        .send(Request {
            body,
            ..Request::new(&Route::CreateMessage { channel_id })
        })
        .await
        .unwrap();
    let message: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(message["content"], "see");
    assert_eq!(message["attachments"][0]["size"], 5);
}

#[tokio::test]
async fn what_twilights_builders_make_is_sent() {
    let sim = start(false).await;
    let info = sim.info();
    let client = Client::new(config(info)).unwrap();
    let channel_id = info.channels["announcements"].parse().unwrap();
    let route = Route::CreateMessage { channel_id };
    let twilight = twilight_http::Client::new("not sent".into());
    let builder = || {
        twilight
            .create_message(Id::new(channel_id))
            .content("built")
    };
    let request = Request::typed(&route, builder()).unwrap();
    let response = client.send(request).await.unwrap();
    let message: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(message["content"], "built");

    let file = Attachment::from_bytes("a.txt".into(), b"hello".to_vec(), 0);
    let request = Request::typed(&route, builder().attachments(&[file])).unwrap();
    let response = client.send(request).await.unwrap();
    let message: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(message["attachments"][0]["size"], 5);

    let elsewhere = Route::CreateMessage { channel_id: 1 };
    let error = Request::typed(&elsewhere, builder()).unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    let empty = twilight.create_message(Id::new(channel_id)).content("");
    let long = "x".repeat(2001);
    let error = Request::typed(&route, empty.content(&long)).unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error:?}");
}

#[tokio::test]
async fn a_message_whose_answer_is_lost_arrives_once() {
    let sim = start(false).await;
    let info = sim.info();
    let client = Client::new(config(info)).unwrap();
    let channel = &info.channels["announcements"];
    let route = format!("/channels/{channel}/messages");
    let faults = json!([
        { "method": "POST", "route": route, "drop": "mid_answer", "times": 1 },
        { "method": "POST", "route": route, "status": 502, "apply": true, "times": 1 },
        { "method": "POST", "route": route, "drop": "before_answer", "times": 1 },
    ]);
    control(info, Method::Post, "faults", Some(faults)).await;
    let message = json!({ "content": "once", "nonce": "n1", "enforce_nonce": true }).to_string();
    let channel_id = channel.parse().unwrap();
    let request = Request::new(&Route::CreateMessage { channel_id }).json(message);
    client
        .send(Request {
            retry: Retry::Safe,
            ..request
        })
        .await
        .unwrap();
    let requests = control(info, Method::Get, "requests", None).await;
    assert_eq!(requests.as_array().unwrap().len(), 4, "{requests}");
    let response = client.send(Request::new(&messages(channel))).await.unwrap();
    let messages: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(messages.as_array().unwrap().len(), 1, "{messages}");
}

#[tokio::test]
async fn a_proxy_is_left_to_keep_the_limits_but_its_429s_are_heeded() {
    let sim = start(false).await;
    let info = sim.info();
    let rest_proxy = info.api.strip_suffix("/api/v10").map(str::to_owned);
    let client = Client::new(Config {
        rest_proxy,
        ..config(info)
    })
    .unwrap();
    let mut calls = JoinSet::new();
    for i in 0..7 {
        let client = client.clone();
        let message = message(&info.channels["status"], &i.to_string());
        calls.spawn(async move { client.send(message).await });
    }
    for result in calls.join_all().await {
        result.unwrap();
    }
    let limits = control(info, Method::Get, "limits", None).await;
    assert_eq!(limits["too_early"], 2, "five fit into the window");
}

/// Forwards connections to `port`; those that exist when `frozen` changes are silent from then on, and stay open.
async fn forward(
    listener: TcpListener,
    port: u16,
    frozen: watch::Receiver<()>,
    count: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (mut inside, _) = listener.accept().await.unwrap();
        count.send_modify(|count| *count += 1);
        let mut frozen = frozen.clone();
        frozen.mark_unchanged();
        connections.spawn(async move {
            let mut outside = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            tokio::select! {
                _ = copy_bidirectional(&mut inside, &mut outside) => {}
                _ = frozen.changed() => std::future::pending().await,
            }
        });
    }
}

#[tokio::test]
async fn a_dead_http2_connection_is_replaced() {
    let sim = start(true).await;
    let info = sim.info();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port: u16 = info
        .api
        .split(':')
        .nth(2)
        .unwrap()
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let api_url = info.api.replace(
        &port.to_string(),
        &listener.local_addr().unwrap().port().to_string(),
    );
    let (freeze, frozen) = watch::channel(());
    let (counting, count) = watch::channel(0);
    let mut proxy = JoinSet::new();
    proxy.spawn(forward(listener, port, frozen, counting));

    let attempt_timeout = Duration::from_secs(3);
    let client = Client::new(Config {
        api_url,
        attempt_timeout,
        ..config(info)
    })
    .unwrap();
    let get = |i: usize| {
        Request::new(&Route::GetChannel {
            channel_id: info.channels.values().nth(i).unwrap().parse().unwrap(),
        })
    };
    client.send(get(0)).await.unwrap();
    let (first, second) = tokio::join!(client.send(get(1)), client.send(get(2)));
    first.unwrap();
    second.unwrap();
    assert_eq!(*count.borrow(), 1, "HTTP/2 carries all on one connection");

    freeze.send(()).unwrap();
    client.send(get(0)).await.unwrap();
    assert_eq!(*count.borrow(), 2);
}

#[tokio::test]
async fn an_unknown_authority_is_not_trusted() {
    let sim = start(true).await;
    let config = Config {
        ca_file: None,
        ..config(sim.info())
    };
    let request = Request {
        retry: Retry::Never,
        deadline: Duration::from_secs(2),
        ..Request::new(&Route::GetGateway)
    };
    let error = Client::new(config)
        .unwrap()
        .send(request)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
}
