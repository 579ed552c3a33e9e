//! Portals room-0, room-1 … whose calls say again what they hear. The media loop has a thread, as in the bridge; HTTP another.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::Response;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use secrecy::SecretString;
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::task::LocalSet;
use tower::ServiceExt as _;
use uro_discord_portal::{DiscordMember, Endpoint, Happened, Limits, Options, Portal, Portals};

use crate::guest::KEY;
use crate::{Error, FRAME, lateness, sim};

/// Whoever speaks in the calls.
const ECHO: u64 = 1;

/// How late each frame for a call was, against the one before it.
type Lates = Rc<RefCell<Vec<Duration>>>;

/// Says `port N`; then answers each line `late` with how late frames were since it was last asked.
pub fn run(rooms: u32) -> Result<(), Error> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async move {
        let portals = portals()?;
        println!("port {}", listen(portals.routes())?.port());
        let lates = Lates::default();
        for room in 0..rooms {
            let portal = portals.open(&format!("room-{room}"), Options::default())?;
            let lates = Rc::clone(&lates);
            tokio::task::spawn_local(echo(portal, lates));
        }
        let mut lines = BufReader::new(stdin()).lines();
        while lines.next_line().await?.as_deref() == Some("late") {
            println!("late {}", lateness(&mut lates.take()));
        }
        Ok(())
    }))
}

/// Their media loop runs where this is called.
pub fn portals() -> Result<Portals, Error> {
    let (portals, loops) = Portals::bind(Endpoint {
        addresses: vec!["127.0.0.1:0".parse()?],
        public: vec![],
        keys: vec![SecretString::from(KEY)],
        origins: vec![],
        limits: Limits {
            portal_peers: 1_024,
            subject_peers: 1_024,
            token_peers: 1_024,
            ..Limits::default()
        },
    })?;
    for media in loops {
        tokio::spawn(media);
    }
    Ok(portals)
}

/// Serves HTTP until the program ends.
pub fn listen(routes: Router) -> Result<SocketAddr, Error> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::spawn(move || runtime.block_on(accept(listener, routes)));
    Ok(address)
}

async fn accept(listener: std::net::TcpListener, routes: Router) -> std::io::Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let routes = routes.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let page = page(request.uri().path());
            let answer = routes.clone().oneshot(request.map(Body::new));
            async move {
                match page {
                    Some(page) => Ok(page),
                    None => answer.await,
                }
            }
        });
        // World TV's WebSocket is one by an upgrade.
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection.with_upgrades());
    }
}

/// A file of World TV's page, which the bridge serves, and a portal by itself does not.
fn page(path: &str) -> Option<Response<Body>> {
    let (_, name) = path.strip_prefix("/portal/")?.split_once("/tv/")?;
    let (name, kind) = match name.rsplit_once('.') {
        None if name.is_empty() => ("index.html", "text/html"),
        Some((_, "css")) => (name, "text/css"),
        Some((_, "js")) => (name, "text/javascript"),
        _ => return None,
    };
    let mut folders = ["assets/tv", "assets/common"].into_iter();
    let content = folders.find_map(|folder| std::fs::read(Path::new(folder).join(name)).ok())?;
    let response = Response::builder().header(CONTENT_TYPE, kind);
    response.body(Body::from(content)).ok()
}

async fn echo(mut portal: Portal, lates: Lates) {
    let name = "The echo".to_owned();
    portal.discord_joined(ECHO, DiscordMember { name, bot: false });
    let (mut number, mut last) = (0, None);
    while let Some(happened) = portal.next().await {
        if let Happened::Frame(payload) = happened {
            let now = Instant::now();
            let since = last.replace(now).map(|last| now - last);
            lates
                .borrow_mut()
                .extend(since.map(|since| since.saturating_sub(FRAME)));
            portal.from_discord(ECHO, sim::packet(number, payload));
            number = number.wrapping_add(1);
        }
    }
}
