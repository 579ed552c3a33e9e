//! What the tests share: a simulator, and bots that join its voice channels as the crate's users do.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests may"
)]

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use discord_sim::{Info, Options, Sim, TlsMode};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_websockets::{ClientBuilder, MaybeTlsStream, Message, WebSocketStream};
use uro_discord_voice::{
    Config, Event, Events, Frames, Handshake, JoinInfo, Scheme, SendError, Session, Step, Tls,
};

/// Nothing in these tests takes so long, on however slow a machine.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what)
        .await
        .expect("it takes too long")
}

pub struct Discord {
    pub sim: Sim,
    pub config: Config,
}

impl Discord {
    pub async fn start(tls: bool) -> Self {
        // Shown when a test fails.
        let _ = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::DEBUG)
            .with_test_writer()
            .try_init();
        let sim = Sim::start(Options {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: if tls { TlsMode::Only } else { TlsMode::Off },
            channels: 0,
            bots: 4,
        })
        .await
        .unwrap();
        let ca_file = sim.info().ca_file.as_deref();
        let config = Config {
            scheme: if tls { Scheme::Wss } else { Scheme::Ws },
            ..Config::with_tls(Tls::new(ca_file).unwrap())
        };
        let discord = Self { sim, config };
        // Tests let bots come and go.
        discord
            .post("settings", json!({"identify_interval_ms": 0}))
            .await;
        discord
    }

    pub fn info(&self) -> &Info {
        self.sim.info()
    }

    pub fn id_of(&self, user: &str) -> u64 {
        self.info().users[user].id.parse().unwrap()
    }

    /// The control interface.
    pub async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(format!("{}/{path}", self.info().control))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(status.is_success(), "{status}: {body:?}");
        serde_json::from_slice(&body).unwrap_or_default()
    }

    pub async fn get(&self, path: &str) -> Value {
        self.control(Method::GET, path, json!({})).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.control(Method::POST, path, body).await
    }

    /// What the simulator knows of somebody in voice.
    pub async fn in_voice(&self, user: &str) -> Option<Value> {
        let voice = self.get("voice").await;
        let channels = voice["channels"].as_array().unwrap().clone();
        channels
            .iter()
            .flat_map(|channel| channel["users"].as_array().unwrap())
            .find(|shown| shown["name"] == user)
            .cloned()
    }

    /// Nobody broke a rule.
    pub async fn no_violations(&self) {
        let voice = self.get("voice").await;
        assert_eq!(voice["violations"], json!({}), "{voice:#}");
    }

    /// A bot in a channel.
    pub async fn bot(&self, user: &str, channel: &str) -> Bot {
        self.bot_with(user, channel, self.config.clone()).await
    }

    pub async fn bot_with(&self, user: &str, channel: &str, config: Config) -> Bot {
        let mut gateway = MainGateway::open(self, user).await;
        let mut handshake = gateway.ask(self, channel).await;
        let info = match gateway.step(&mut handshake).await {
            Step::Join(info) => info,
            step => panic!("{step:?}"),
        };
        let (session, connection, events, frames) = Session::join(info, config).unwrap();
        tokio::spawn(connection);
        let mut bot = Bot {
            user_id: self.id_of(user),
            gateway,
            handshake,
            session,
            events,
            frames,
        };
        bot.event(|event| matches!(event, Event::Joined { .. }))
            .await;
        bot
    }
}

/// The main gateway, as far as voice goes.
pub struct MainGateway {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    user: String,
}

impl MainGateway {
    pub async fn open(discord: &Discord, user: &str) -> Self {
        let gateway = &discord.info().gateway;
        let url = format!("{gateway}?v=10&encoding=json");
        let (scheme, rest) = url.split_once("://").unwrap();
        let authority = rest.split('/').next().unwrap();
        let tcp = TcpStream::connect(authority).await.unwrap();
        let host = authority.split(':').next().unwrap();
        let connector = match scheme {
            "ws" => tokio_websockets::Connector::Plain,
            _ => connector(discord),
        };
        let stream = connector.wrap(host, tcp).await.unwrap();
        let (socket, _) = ClientBuilder::new()
            .uri(&url)
            .unwrap()
            .connect_on(stream)
            .await
            .unwrap();
        let mut gateway = Self {
            socket,
            user: user.into(),
        };
        let identify = json!({"op": 2, "d": {
            "token": discord.info().users[user].token,
            "intents": (1 << 7) + 1,
            "properties": {"os": "linux", "browser": "test", "device": "test"},
        }});
        gateway.send(identify).await;
        while gateway.next().await["t"] != "READY" {}
        gateway
    }

    async fn send(&mut self, payload: Value) {
        let message = Message::text(payload.to_string());
        self.socket.send(message).await.unwrap();
    }

    async fn next(&mut self) -> Value {
        loop {
            let message = soon(self.socket.next()).await.unwrap().unwrap();
            if let Some(text) = message.as_text() {
                return serde_json::from_str(text).unwrap();
            }
        }
    }

    /// Asks to be let into a channel.
    pub async fn ask(&mut self, discord: &Discord, channel: &str) -> Handshake {
        let info = discord.info();
        let channel = &info.channels[channel];
        self.voice_state(discord, Some(channel)).await;
        let id = |text: &str| text.parse().unwrap();
        let user = discord.id_of(&self.user);
        Handshake::new(id(&info.guild_id), id(channel), user, Instant::now())
    }

    pub async fn close(mut self) {
        self.socket.close().await.unwrap();
    }

    pub async fn voice_state(&mut self, discord: &Discord, channel: Option<&str>) {
        let payload = json!({"op": 4, "d": {
            "guild_id": discord.info().guild_id,
            "channel_id": channel,
            "self_mute": false,
            "self_deaf": false,
        }});
        self.send(payload).await;
    }

    /// What the handshake says next.
    pub async fn step(&mut self, handshake: &mut Handshake) -> Step {
        loop {
            let event = self.next().await;
            let (now, d) = (Instant::now(), &event["d"]);
            let step = match event["t"].as_str() {
                Some("VOICE_STATE_UPDATE") => {
                    let channel = d["channel_id"].as_str().map(|id| id.parse().unwrap());
                    let session = d["session_id"].as_str().unwrap_or_default();
                    let own = d["user_id"] == self.own_id(handshake);
                    own.then(|| handshake.voice_state(channel, session, now))
                        .flatten()
                }
                Some("VOICE_SERVER_UPDATE") => {
                    let token = d["token"].as_str().unwrap();
                    handshake.voice_server(d["endpoint"].as_str(), token, now)
                }
                _ => None,
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    fn own_id(&self, handshake: &Handshake) -> String {
        handshake.user_id().to_string()
    }
}

fn connector(discord: &Discord) -> tokio_websockets::Connector {
    use std::sync::Arc;
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
    let mut roots = RootCertStore::empty();
    let ca_file = discord.info().ca_file.as_ref().unwrap();
    for certificate in CertificateDer::pem_file_iter(ca_file).unwrap() {
        roots.add(certificate.unwrap()).unwrap();
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tokio_websockets::Connector::Rustls(Arc::new(config).into())
}

/// Everybody hears all that everybody says.
pub async fn talk(bots: &mut [&mut Bot]) {
    for bot in &mut *bots {
        bot.can_send().await;
    }
    for speaker in 0..bots.len() {
        let (name, user_id) = (b'a' + speaker as u8, bots[speaker].user_id);
        bots[speaker].say(name, 20).await.unwrap();
        for listener in (0..bots.len()).filter(|listener| *listener != speaker) {
            bots[listener].hear_all(user_id, name, 20).await;
        }
    }
}

/// A client that has no end-to-end encryption, and says nothing.
pub struct PlainClient(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl PlainClient {
    pub async fn join(info: &JoinInfo) -> Self {
        let stream = TcpStream::connect(&info.endpoint).await.unwrap();
        let (socket, _) = ClientBuilder::new()
            .uri(&format!("ws://{}/?v=8", info.endpoint))
            .unwrap()
            .connect_on(MaybeTlsStream::Plain(stream))
            .await
            .unwrap();
        let mut client = Self(socket);
        let identify = json!({
            "server_id": info.guild_id.to_string(),
            "user_id": info.user_id.to_string(),
            "session_id": info.session_id.expose_secret(),
            "token": info.token.expose_secret(),
            "max_dave_protocol_version": 0,
        });
        client.send(0, identify).await;
        let ready = client.until(2).await;
        let data = json!({"address": "127.0.0.1", "port": 9, "mode": ready["modes"][0]});
        client
            .send(1, json!({"protocol": "udp", "data": data}))
            .await;
        client.until(4).await;
        client
    }

    async fn send(&mut self, op: u8, data: Value) {
        let text = json!({"op": op, "d": data}).to_string();
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn until(&mut self, op: u8) -> Value {
        loop {
            let message = soon(self.0.next()).await.unwrap().unwrap();
            let text = message.as_text().unwrap_or("{}");
            let mut payload: Value = serde_json::from_str(text).unwrap();
            if payload["op"] == op {
                return payload["d"].take();
            }
        }
    }
}

pub struct Bot {
    pub user_id: u64,
    pub gateway: MainGateway,
    pub handshake: Handshake,
    pub session: Session,
    pub events: Events,
    pub frames: Frames,
}

impl Bot {
    /// Waits for an event; others are passed over.
    pub async fn event(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        let search = async {
            loop {
                match self.events.next().await {
                    Some(event) if wanted(&event) => return event,
                    Some(Event::Ended(end)) => panic!("it ended: {end}"),
                    Some(_) => {}
                    None => panic!("it ended"),
                }
            }
        };
        soon(search).await
    }

    /// Waits until frames can be sent.
    pub async fn can_send(&mut self) {
        if !soon(self.session.status()).await.unwrap().dave.can_send {
            self.event(|event| matches!(event, Event::Encryption(dave) if dave.can_send))
                .await;
        }
    }

    /// Does what the main gateway says, until there is a voice server.
    pub async fn follow(&mut self) {
        loop {
            match self.gateway.step(&mut self.handshake).await {
                Step::Join(info) => return self.session.update_server(info).await.unwrap(),
                Step::ServerGone => self.session.server_gone().await,
                Step::Left(reason) => panic!("{reason}"),
            }
        }
    }

    /// Sends frames that are all different, and begin with `name`.
    pub async fn say(&self, name: u8, count: u8) -> Result<(), SendError> {
        for number in 0..count {
            self.session.send_opus(frame(name, number)).await?;
        }
        Ok(())
    }

    /// The next frame that is not silence.
    pub async fn hear(&mut self) -> uro_discord_voice::Received {
        loop {
            let received = soon(self.frames.next()).await.expect("a frame");
            if received.frame[..] != [0xf8, 0xff, 0xfe] {
                return received;
            }
        }
    }

    /// Takes what has come so far.
    pub async fn forget_frames(&mut self) {
        let quiet = Duration::from_millis(500);
        while let Ok(Some(_)) = tokio::time::timeout(quiet, self.frames.next()).await {}
    }

    /// Hears all that somebody said.
    pub async fn hear_all(&mut self, from: u64, name: u8, count: u8) {
        for number in 0..count {
            let received = self.hear().await;
            assert_eq!(
                (received.user_id, &received.frame),
                (from, &frame(name, number))
            );
            // Before the first there may be some that could not be decrypted.
            assert!(number == 0 || received.lost_before == 0, "{received:?}");
        }
    }
}

pub fn frame(name: u8, number: u8) -> Bytes {
    let mut frame = vec![name, number];
    frame.resize(80, 0x55);
    frame.into()
}
