//! Reaching a BEAM.

use crate::address::{Address, is_public};
use crate::handshake::{self, HandshakeError, Local};
use crate::name::{NodeName, Pattern};
use crate::tls::Tls;
use erl_dist::epmd::{EpmdClient, EpmdError};
use erl_dist::node::Creation;
use rustls::pki_types::{InvalidDnsNameError, ServerName};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_util::compat::TokioAsyncReadCompatExt as _;
use uro_discord_wire::Secret;

/// How long a name may take to be resolved, and a connection to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// How long EPMD may take.
const EPMD: Duration = Duration::from_secs(5);

/// How long TLS, and then the handshake, may take: a BEAM with two handshakes that stall lets others wait for 7 s.
const SHAKE: Duration = Duration::from_secs(20);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host has no address, or does not answer.
    #[error("{0}")]
    Connect(#[source] io::Error),
    /// Nothing came of it in time.
    #[error("{0} took longer than {1:?}")]
    TooSlow(&'static str, Duration),
    /// EPMD does not answer as EPMD does.
    #[error("EPMD at {0} did not answer: {1}")]
    Epmd(SocketAddr, #[source] EpmdError),
    /// No node of this name runs there.
    #[error(
        "EPMD at {0} knows no node {1:?}: it does not run, or does not allow others to connect"
    )]
    NoNode(SocketAddr, String),
    /// A cookie does not go over networks of others in the clear.
    #[error(
        "{0} is a public address, and there is no TLS: whoever is on the way could take over Uro. Give --tls-ca, --tls-certificate and --tls-key"
    )]
    Public(SocketAddr),
    /// The host can stand in no certificate.
    #[error("{0:?} can stand in no certificate: {1}")]
    ServerName(String, #[source] InvalidDnsNameError),
    /// The certificate is not good, or ours is not taken.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// They do not shake hands.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
}

/// Who we are, and whom we look for.
pub struct Dialer {
    name: NodeName,
    cookie: Secret,
    peers: Pattern,
    tls: Option<(Tls, Option<String>)>,
    epmd_port: u16,
    creation: u32,
}

/// A connection to a BEAM that knows us; [`Connection::run`] has it carry something.
pub struct Connection {
    pub(crate) name: NodeName,
    pub(crate) creation: u32,
    pub(crate) peer: String,
    pub(crate) input: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) output: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Connection {
    /// The name of the other side.
    #[must_use]
    pub fn peer(&self) -> &str {
        &self.peer
    }
}

impl Dialer {
    /// A node of this name, that connects to nodes of those.
    #[must_use]
    pub fn new(name: NodeName, cookie: Secret, peers: Pattern) -> Self {
        Self {
            name,
            cookie,
            peers,
            tls: None,
            epmd_port: erl_dist::epmd::DEFAULT_EPMD_PORT,
            // 0 is none, and up to 3 are as old Erlang has them.
            creation: Creation::random().get().max(4),
        }
    }

    /// Connections have TLS. The certificates name the host, unless another name is given.
    #[must_use]
    pub fn with_tls(mut self, tls: Tls, name: Option<String>) -> Self {
        self.tls = Some((tls, name));
        self
    }

    /// Where EPMD listens, at every host.
    #[must_use]
    pub fn with_epmd_port(mut self, port: u16) -> Self {
        self.epmd_port = port;
        self
    }

    /// The addresses that a host has at this moment: each may be another node. One that has a name has one.
    ///
    /// # Errors
    ///
    /// When it has none, or EPMD there does not know the node.
    pub async fn resolve(&self, address: &Address) -> Result<Vec<SocketAddr>, DialError> {
        let (host, port) = match address {
            Address::Port(host, port) => (host.as_str(), *port),
            Address::Named(name) => (name.host(), self.epmd_port),
        };
        let looked_up = timeout(CONNECT, lookup_host((host, port))).await;
        let found = looked_up.map_err(|_| DialError::TooSlow("looking up the host", CONNECT))?;
        let found: Vec<_> = found.map_err(DialError::Connect)?.collect();
        let Address::Named(name) = address else {
            return Ok(found);
        };
        // A host may have addresses at which EPMD does not listen.
        let mut wrong = None;
        for epmd in found {
            let asked = timeout(EPMD, port_of(epmd, name.alive())).await;
            match asked.unwrap_or(Err(DialError::TooSlow("EPMD", EPMD))) {
                Ok(port) => return Ok(vec![SocketAddr::new(epmd.ip(), port)]),
                Err(error) => wrong = Some(error),
            }
        }
        wrong.map_or(Ok(Vec::new()), Err)
    }

    /// Connects to one of them.
    ///
    /// # Errors
    ///
    /// When nobody answers there, or not as a node that may.
    pub async fn dial(&self, address: &Address, at: SocketAddr) -> Result<Connection, DialError> {
        if self.tls.is_none() && is_public(at.ip()) {
            return Err(DialError::Public(at));
        }
        let connected = timeout(CONNECT, TcpStream::connect(at)).await;
        let connected = connected.map_err(|_| DialError::TooSlow("connecting", CONNECT))?;
        let stream = connected.map_err(DialError::Connect)?;
        stream.set_nodelay(true).map_err(DialError::Connect)?;
        let Some((tls, name)) = &self.tls else {
            return self.introduce(stream, false).await;
        };
        let name = name.as_deref().unwrap_or(address.host());
        let server = ServerName::try_from(name.to_owned())
            .map_err(|error| DialError::ServerName(name.to_owned(), error))?;
        let stream = timeout(SHAKE, tls.0.connect(server, stream)).await;
        let stream = stream.map_err(|_| DialError::TooSlow("TLS", SHAKE))?;
        self.introduce(stream.map_err(DialError::Tls)?, true).await
    }

    /// Shakes hands over a stream, whose lengths are `wide` where it is TLS.
    pub(crate) async fn introduce<S>(&self, stream: S, wide: bool) -> Result<Connection, DialError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let local = Local {
            name: &self.name,
            creation: self.creation,
            cookie: &self.cookie,
            peers: &self.peers,
        };
        let shaken = timeout(SHAKE, handshake::shake(stream, wide, &local)).await;
        let (stream, peer) = shaken.map_err(|_| DialError::TooSlow("the handshake", SHAKE))??;
        let (input, output) = tokio::io::split(stream);
        Ok(Connection {
            name: self.name.clone(),
            creation: self.creation,
            peer,
            input: Box::new(input),
            output: Box::new(output),
        })
    }
}

async fn port_of(epmd: SocketAddr, alive: &str) -> Result<u16, DialError> {
    let stream = TcpStream::connect(epmd).await;
    let stream = stream.map_err(|error| DialError::Epmd(epmd, error.into()))?;
    let node = EpmdClient::new(stream.compat()).get_node(alive).await;
    let node = node.map_err(|error| DialError::Epmd(epmd, error))?;
    let node = node.ok_or_else(|| DialError::NoNode(epmd, alive.to_owned()))?;
    Ok(node.port)
}
