#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod app;
mod control;
mod faults;
mod gateway;
mod id;
mod oauth;
mod outgoing;
mod page;
mod rest;
mod server;
mod state;
mod stream;
mod tls;
mod voice;

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, routing::any};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair},
};
use serde::Serialize;
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::watch,
    task::JoinSet,
};

use crate::{
    app::{Addresses, App},
    id::Id,
    state::{State, seed},
    tls::{Tls, TlsError},
};

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where Discord's own interfaces listen. Port 0 takes a free one. The control interface and the page take
    /// another free port of the same address.
    pub listen: SocketAddr,
    /// Whether there is TLS.
    pub tls: TlsMode,
    /// How many more text channels there are than the guild's own: `channel-1`, `channel-2` …
    pub channels: u16,
    /// How many more bots there are than the two: `bot-1`, `bot-2` …
    pub bots: u16,
}

/// Whether a simulator speaks TLS, with a certificate of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TlsMode {
    /// `http` and `ws`.
    #[default]
    Off,
    /// `http` and `ws`, and on the same port TLS for those who begin with it. Voice clients insist on it; others, which cannot be told
    /// to trust the simulator's authority, can be in a call with them.
    Beside,
    /// `https` and `wss` only.
    Only,
}

/// What a client needs to know; `discord-sim` prints it as one line of JSON.
#[derive(Clone, Serialize)]
pub struct Info {
    /// REST, ending in `/api/v10`.
    pub api: String,
    /// The gateway, without a query.
    pub gateway: String,
    /// OAuth2: the page on which users allow an application something.
    pub oauth: String,
    /// A page for people: channels, messages, presence.
    pub page: String,
    /// The control interface, see the crate's documentation.
    pub control: String,
    /// The token of our bot.
    pub token: String,
    /// Our application, whose bot user has the same id.
    pub application_id: String,
    /// The application's Ed25519 key for interactions, hex.
    pub public_key: String,
    /// The application's OAuth2 secret.
    pub client_secret: String,
    /// The guild.
    pub guild_id: String,
    /// Channel ids by name.
    pub channels: BTreeMap<String, String>,
    /// Users by name. Bots' tokens are sent as `Bot …`, people's as they are.
    pub users: BTreeMap<String, UserInfo>,
    /// The file with the certificate authority to trust, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// A user of the simulated Discord.
#[derive(Clone, Serialize)]
pub struct UserInfo {
    /// His id.
    pub id: String,
    /// His token.
    pub token: String,
}

/// The simulator could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No listening socket.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificate authority could not be written to a file.
    #[error("cannot write the certificate authority to {path}: {source}")]
    CaFile {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The operating system gave no random bytes.
    #[error("no random bytes")]
    Random,
}

/// A running simulator. It ends when this is dropped.
pub struct Sim {
    info: Info,
    // Connections that were upgraded to WebSockets live until this is dropped.
    _running: watch::Sender<()>,
    _tasks: JoinSet<()>,
    _ca_file: Option<CaFile>,
}

impl Sim {
    /// Starts a simulator on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// When it cannot listen, or cannot make its keys and certificates.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let (listener, address) = listen(options.listen).await?;
        let (inside, inside_address) = listen(SocketAddr::new(options.listen.ip(), 0)).await?;
        let (voice, voice_address) = listen_for_voice(options.listen.ip()).await?;
        let tls = (options.tls != TlsMode::Off).then(Tls::new).transpose()?;
        let ca_file = match &tls {
            Some(tls) => Some(CaFile::write(address, &tls.ca_pem)?),
            None => None,
        };
        let secure = if options.tls == TlsMode::Only {
            "s"
        } else {
            ""
        };
        let addresses = Addresses {
            host: address.to_string(),
            api: format!("http{secure}://{address}{}", rest::PREFIX),
            gateway: format!("ws{secure}://{address}/gateway"),
            cdn: format!("http{secure}://{address}"),
            voice: voice_address,
        };
        let mut state = State::new(options.channels, options.bots)?;
        let client_secret = seed::secret(24)?;
        state.oauth.set_secret(seed::APPLICATION, &client_secret);
        let key = key()?;
        let public_key = hex(key.public_key().as_ref());
        let info = Info {
            api: addresses.api.clone(),
            gateway: addresses.gateway.clone(),
            oauth: format!("{}/oauth2/authorize", addresses.cdn),
            page: format!("http://{inside_address}/"),
            control: format!("http://{inside_address}/control"),
            token: state
                .user(seed::APPLICATION)
                .map(|user| user.token.clone())
                .unwrap_or_default(),
            application_id: seed::APPLICATION.to_string(),
            public_key: public_key.clone(),
            client_secret,
            guild_id: state.guilds.home.id.to_string(),
            channels: state
                .guilds
                .home
                .channels
                .iter()
                .map(|c| (c.name.clone(), c.id.to_string()))
                .collect(),
            users: state
                .users
                .iter()
                .map(|user| {
                    (
                        user.name.clone(),
                        UserInfo {
                            id: user.id.to_string(),
                            token: user.token.clone(),
                        },
                    )
                })
                .collect(),
            ca_file: ca_file.as_ref().map(|file| file.0.clone()),
        };
        let (running, is_running) = watch::channel(());
        let app = App::new(state, addresses, key, is_running);
        let discord = Router::new()
            .route("/", any(voice::upgrade))
            .route("/gateway", any(gateway::upgrade))
            .route("/gateway/", any(gateway::upgrade))
            .route(
                "/attachments/{channel_id}/{attachment_id}/{name}",
                axum::routing::get(rest::attachment),
            )
            .merge(oauth::pages())
            .with_state(app.clone())
            .merge(rest::router(app.clone()));
        let people = page::router()
            .nest("/control", control::router())
            .with_state(app.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(server::serve(
            listener,
            tls.map(|tls| (Arc::clone(&tls.config), options.tls)),
            discord,
        ));
        tasks.spawn(server::serve(inside, None, people));
        tasks.spawn(voice::serve(app.clone(), voice));
        tasks.spawn(expire_sessions(app));
        Ok(Self {
            info,
            _running: running,
            _tasks: tasks,
            _ca_file: ca_file,
        })
    }

    /// What a client needs to know.
    pub fn info(&self) -> &Info {
        &self.info
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn listen_for_voice(ip: IpAddr) -> Result<(UdpSocket, SocketAddr), StartError> {
    let address = SocketAddr::new(ip, 0);
    let failed = |source| StartError::Listen { address, source };
    let socket = UdpSocket::bind(address).await.map_err(failed)?;
    let bound = socket.local_addr().map_err(failed)?;
    Ok((socket, bound))
}

/// A fresh Ed25519 key, which interactions are signed with.
fn key() -> Result<Ed25519KeyPair, StartError> {
    let random = SystemRandom::new();
    let document = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| StartError::Random)?;
    Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|_| StartError::Random)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ends the sessions that nobody resumes.
async fn expire_sessions(app: App) {
    let mut tick = tokio::time::interval(Duration::from_millis(200));
    loop {
        tick.tick().await;
        let mut state = app.state();
        let timeout = Duration::from_millis(state.settings.session_timeout_ms);
        let users: Vec<Id> = state.gateway.expire(timeout);
        for user in users {
            state.session_ended(user);
        }
        state.voice_tick(Instant::now());
    }
}

/// The file with the certificate authority, for as long as the simulator runs.
struct CaFile(PathBuf);

impl CaFile {
    fn write(address: SocketAddr, pem: &str) -> Result<Self, StartError> {
        let name = format!("discord-sim-{}-{}.pem", std::process::id(), address.port());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, pem).map_err(|source| StartError::CaFile {
            path: path.clone(),
            source,
        })?;
        Ok(Self(path))
    }
}

impl Drop for CaFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, "the certificate authority's file stays");
        }
    }
}
