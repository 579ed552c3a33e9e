//! What the client does when connections misbehave.
#![allow(clippy::unwrap_used, reason = "helpers of tests may")]

mod support;

use std::time::Duration;

use support::{Act, Server, answer, ok};
use tokio::net::TcpListener;
use uro_discord_rest::{Client, Config, Error, Phase, Request, Retry, Route};

fn post(retry: Retry) -> Request {
    Request {
        retry,
        ..Request::new(&Route::CreateMessage { channel_id: 1 }).json("{}")
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = Server::start([]).await;
    let client = server.client();
    for _ in 0..10 {
        client.send(post(Retry::Never)).await.unwrap();
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let server = Server::start(vec![Act::AnswerAndClose(ok()); 5]).await;
    let client = server.client();
    for closed in 1..=5 {
        client.send(post(Retry::Never)).await.unwrap();
        server.closed(closed).await;
    }
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn a_reset_in_mid_answer_is_tried_again_only_where_that_is_safe() {
    let cut = || Act::AnswerAndReset(answer("200 OK", "", "{}").replace("length: 2", "length: 20"));
    let server = Server::start([cut(), cut()]).await;
    let response = server.client().send(post(Retry::Safe)).await.unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(server.seen().len(), 3);

    let server = Server::start([cut()]).await;
    let error = server.client().send(post(Retry::Never)).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_)), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_reset_before_the_answer_is_tried_again_only_where_that_is_safe() {
    let server = Server::start([Act::AnswerAndReset(String::new())]).await;
    server.client().send(post(Retry::Safe)).await.unwrap();
    assert_eq!(server.seen().len(), 2);

    let server = Server::start([Act::AnswerAndReset(String::new())]).await;
    let error = server.client().send(post(Retry::Never)).await.unwrap_err();
    assert!(matches!(error, Error::ConnectionLost(_)), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_stall_ends_after_the_attempts_time() {
    let impatient = |server: &Server| {
        let attempt_timeout = Duration::from_millis(100);
        Client::new(Config {
            attempt_timeout,
            ..server.config()
        })
        .unwrap()
    };
    let server = Server::start([Act::Stall]).await;
    impatient(&server).send(post(Retry::Safe)).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].connection, 1, "the one that stalls is left alone");

    let server = Server::start([Act::Stall]).await;
    let error = impatient(&server)
        .send(post(Retry::Never))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_until_there_is_a_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let config = Config {
        api_url: format!("http://{address}"),
        backoff: Duration::from_millis(50),
        max_attempts: 20,
        ..Config::new("t")
    };
    let client = Client::new(config).unwrap();
    let call = tokio::spawn(async move { client.send(post(Retry::Never)).await });
    tokio::time::sleep(Duration::from_millis(120)).await;
    let server = Server::listen(TcpListener::bind(address).await.unwrap(), []);
    call.await.unwrap().unwrap();
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn attempts_are_counted() {
    let bad_gateway = Act::Answer(answer("502 Bad Gateway", "", "<html>bad gateway</html>"));
    let server = Server::start(vec![bad_gateway; 10]).await;
    let error = server.client().send(post(Retry::Safe)).await.unwrap_err();
    assert!(
        matches!(error, Error::Attempts { attempts: 5, .. }),
        "{error}"
    );
    assert_eq!(error.status(), Some(502));
    assert_eq!(server.seen().len(), 5);

    let error = server.client().send(post(Retry::Never)).await.unwrap_err();
    assert!(matches!(error, Error::Weather(_)), "{error}");
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_503_says_how_long_to_wait() {
    let unavailable = answer("503 Service Unavailable", "retry-after: 0.3\r\n", "");
    let server = Server::start([Act::Answer(unavailable)]).await;
    server
        .client()
        .send(Request::new(&Route::GetGateway))
        .await
        .unwrap();
    let seen = server.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(300));
}

#[tokio::test]
async fn the_deadline_says_what_it_cut_short() {
    let server = Server::start([Act::Stall]).await;
    let deadline = Duration::from_millis(200);
    let client = server.client();
    let in_flight = client.send(Request {
        deadline,
        ..post(Retry::Safe)
    });
    let queued = client.send(Request {
        deadline,
        ..post(Retry::Safe)
    });
    let (in_flight, queued) = tokio::join!(in_flight, queued);
    let phase = |error| match error {
        Error::Deadline {
            phase, attempts, ..
        } => (phase, attempts),
        other => panic!("{other}"),
    };
    assert_eq!(phase(in_flight.unwrap_err()), (Phase::Sent, 1));
    assert_eq!(phase(queued.unwrap_err()), (Phase::Queued, 0));

    let closed = Config {
        api_url: "http://127.0.0.1:1".into(),
        ..Config::new("t")
    };
    let error = Client::new(closed)
        .unwrap()
        .send(Request {
            deadline,
            ..post(Retry::Never)
        })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("connect"), "{error}");
    assert_eq!(phase(error).0, Phase::Pausing);
}

#[tokio::test]
async fn a_call_that_is_dropped_frees_its_place() {
    let server = Server::start([Act::Stall]).await;
    let client = server.client();
    let stalled = {
        let client = client.clone();
        tokio::spawn(async move { client.send(post(Retry::Never)).await })
    };
    server.saw(1).await;
    let waiting = client.send(post(Retry::Never));
    stalled.abort();
    waiting.await.unwrap();
    let status = client.status();
    assert_eq!((status.queued, status.in_flight), (0, 0));
}

#[tokio::test]
async fn an_answer_has_a_size() {
    let server = Server::start([Act::Answer(answer("200 OK", "", &"x".repeat(1001)))]).await;
    let client = Client::new(Config {
        max_response: 1000,
        ..server.config()
    })
    .unwrap();
    let error = client.send(post(Retry::Safe)).await.unwrap_err();
    assert!(
        matches!(error, Error::BodyTooLarge { limit: 1000 }),
        "{error}"
    );
    assert_eq!(server.seen().len(), 1);
}
