//! A page's WebSocket. Browsers let no page see why one was refused, so it is taken first and the reason is said on it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts as _, Request};
use axum::http::StatusCode;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::refusal::Refusal;
use super::request::bearer;
use super::session::{ask, name, until};
use super::{Answer, ClientAddress, Held};
use crate::rate::Rate;
use crate::server::{Command, Heard, Kind, Left, Line, PeerInfo, Permit, Refused, Shared};
use crate::token::TokenError;
use crate::tv::message::{FromPage, Hello, LARGEST, Said, ToPage};

/// How long a page may take to say who it is.
const HELLO: Duration = Duration::from_secs(10);

/// How often a browser is asked whether it is there: it answers for a page that sleeps, too.
const PING: Duration = Duration::from_secs(5);

/// How long a socket may take nothing of what is sent.
const UNREAD: Duration = Duration::from_secs(15);

/// What may wait for a page that reads slowly: a frame, and answers to its pings, which are written behind the back of whoever sends.
const UNSENT: usize = 4 << 20;

/// Pings and pongs of a page that are taken, a second. It is asked every few seconds.
const ALIVE: u32 = 20;

/// How long the last words may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Close codes of programs begin here; ours are HTTP's after it.
const CODES: u16 = 4_000;

type Sink = SplitSink<WebSocket, Message>;
type Stream = SplitStream<WebSocket>;

/// Why the conversation ends.
enum End {
    /// The socket is closed, or it broke.
    Gone,
    Session(Left),
    Refused(Refusal),
}

pub(super) async fn get(shared: &Arc<Shared>, id: String, request: Request) -> Answer {
    let (mut parts, _) = request.into_parts();
    let address = parts.extensions.get::<ClientAddress>().copied();
    let held = parts.extensions.remove::<Held>();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &())
        .await
        .map_err(|refused| Refusal::Upgrade(refused.to_string()))?;
    let shared = shared.clone();
    let response = upgrade
        .max_message_size(LARGEST)
        .max_frame_size(LARGEST)
        .max_write_buffer_size(UNSENT)
        .on_upgrade(move |socket| async move {
            let (mut sink, mut stream) = socket.split();
            let came = come(&shared, id, address.map(|it| it.0), &mut stream).await;
            // Its place is taken until its socket is gone, which may be later than its session's end.
            let (end, _place) = match came {
                Ok((line, permit)) => {
                    let _held = held.map(|held| (held.0)());
                    let end = converse(&line, &mut sink, &mut stream).await;
                    line.hear(Heard::Gone);
                    (end, Some(permit))
                }
                Err(refusal) => (End::Refused(refusal), None),
            };
            // Who does not listen to the last words has gone.
            let _ = timeout(FAREWELL, farewell(&mut sink, &mut stream, &end)).await;
        });
    Ok(response)
}

/// Who it is that came, and a place in the portal.
async fn come(
    shared: &Shared,
    id: String,
    address: Option<IpAddr>,
    stream: &mut Stream,
) -> Result<(Arc<Line>, Permit), Refusal> {
    let none = |why: &str| Refusal::Hello(why.to_owned());
    let first = timeout(HELLO, stream.next()).await;
    let text = match first {
        Err(_) => return Err(none("nothing came for 10 seconds")),
        Ok(Some(Ok(Message::Text(text)))) => text,
        Ok(_) => return Err(none("the first message is no text")),
    };
    let hello = Hello::parse(&text).map_err(|error| Refusal::Hello(error.to_string()))?;
    let claims = bearer(shared, &hello.token, &id, Kind::Tv)?;
    let link = shared.link(&id).ok_or(Refusal::NoPortal)?;
    let permit = shared
        .admission
        .permit(&shared.limits, &claims, Kind::Tv, address, Instant::now())
        .map_err(Refusal::Full)?;
    let session = name()?;
    let line = shared
        .line(&link, session.clone())
        .ok_or(Refusal::Internal)?;
    let info = PeerInfo {
        session,
        until: until(&claims),
        claims,
        kind: Kind::Tv,
        _permit: None,
    };
    let joined = ask(shared, &link, |reply| Command::Watch {
        link: link.clone(),
        info,
        line: line.clone(),
        takes: hello.codecs(),
        looks: hello.looks(),
        hears: hello.audio,
        reply,
    })
    .await?;
    match joined {
        Ok(()) => Ok((line, permit)),
        Err(Refused::Closed) => Err(Refusal::NoPortal),
        Err(Refused::Offer(_) | Refused::Stopped | Refused::Panic) => Err(Refusal::Internal),
    }
}

/// Both ways at once, until one ends.
async fn converse(line: &Arc<Line>, sink: &mut Sink, stream: &mut Stream) -> End {
    tokio::select! {
        end = read(line, stream) => end,
        end = write(line, sink) => end,
    }
}

async fn read(line: &Arc<Line>, stream: &mut Stream) -> End {
    let mut alive = Rate::new(ALIVE, Instant::now());
    loop {
        let heard = match stream.next().await {
            Some(Ok(Message::Text(text))) => match FromPage::parse(&text) {
                Ok(said) => Heard::Said(said),
                Err(error) => return End::Refused(Refusal::Words(error.to_string())),
            },
            Some(Ok(Message::Binary(_))) => {
                return End::Refused(Refusal::Words("it is no text".into()));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                if !alive.take(1, Instant::now()) {
                    return End::Session(Left::TooMuch);
                }
                Heard::Alive
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Gone,
        };
        if !line.hear(heard) {
            return End::Session(Left::TooMuch);
        }
    }
}

async fn write(line: &Line, sink: &mut Sink) -> End {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            next = line.next() => match next {
                Ok(ToPage::Text(text)) => Message::Text(text.into()),
                Ok(ToPage::Frame(bytes)) => Message::Binary(bytes),
                // As it is told who comes with such a token.
                Err(Left::Expired) => return End::Refused(Refusal::Token(TokenError::Expired)),
                Err(why) => return End::Session(why),
            },
            _ = pings.tick() => Message::Ping(Default::default()),
        };
        let patience = if line.is_over() { FAREWELL } else { UNREAD };
        match timeout(patience, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Gone,
            Err(_) => return End::Session(Left::Stuck),
        }
    }
}

/// Says why it ends, in words and as a code, and waits until that has been read: a connection that is closed with bytes unread takes the last
/// words with it.
async fn farewell(sink: &mut Sink, stream: &mut Stream, end: &End) -> Result<(), axum::Error> {
    let (text, code, reason) = match end {
        End::Gone => return Ok(()),
        End::Session(why) => {
            let reason = why.to_string();
            let bye = Said::Bye { reason: &reason }.text();
            (bye, code(*why), reason)
        }
        End::Refused(refusal) => {
            let (error, message) = (refusal.error(), refusal.message());
            let message = &message;
            let said = Said::Error { error, message }.text();
            let code = CODES.saturating_add(refusal.status().as_u16());
            (said, code, error.to_owned())
        }
    };
    sink.send(Message::Text(text.into())).await?;
    let reason = reason.into();
    sink.send(Message::Close(Some(CloseFrame { code, reason })))
        .await?;
    while let Some(Ok(_)) = stream.next().await {}
    Ok(())
}

/// What HTTP would call it.
fn code(why: Left) -> u16 {
    let status = match why {
        Left::Said => return 1_000,
        Left::Closed => StatusCode::NOT_FOUND,
        Left::TooMuch => StatusCode::TOO_MANY_REQUESTS,
        Left::Refused => StatusCode::SERVICE_UNAVAILABLE,
        Left::Stopped => StatusCode::FORBIDDEN,
        Left::Expired => StatusCode::UNAUTHORIZED,
        Left::Panic => StatusCode::INTERNAL_SERVER_ERROR,
        Left::Vanished | Left::NeverConnected | Left::Failed | Left::NoHello | Left::Stuck => {
            StatusCode::REQUEST_TIMEOUT
        }
    };
    CODES.saturating_add(status.as_u16())
}
