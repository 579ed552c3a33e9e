//! What every part of the server shares.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ring::signature::{Ed25519KeyPair, KeyPair};
use tokio::sync::watch;

use crate::{hex, state::State};

/// Where clients find the simulated Discord.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// `127.0.0.1:1234`, without a scheme.
    pub host: String,
    /// Of REST, ending in `/api/v10`.
    pub api: String,
    /// Of the gateway, `ws://…` or `wss://…`, without a query.
    pub gateway: String,
    /// Of attachments.
    pub cdn: String,
    /// Of voice packets.
    pub voice: SocketAddr,
}

/// A handle on the simulator, cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    addresses: Addresses,
    key: Ed25519KeyPair,
    running: watch::Receiver<()>,
}

impl App {
    /// The simulator runs as long as the sender of `running` is there.
    pub fn new(
        state: State,
        addresses: Addresses,
        key: Ed25519KeyPair,
        running: watch::Receiver<()>,
    ) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(state),
            addresses,
            key,
            running,
        }))
    }

    /// The state, for a short while: never across an await.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn addresses(&self) -> &Addresses {
        &self.0.addresses
    }

    /// The application's Ed25519 key for interactions, hex.
    pub fn public_key(&self) -> String {
        hex(self.0.key.public_key().as_ref())
    }

    /// A signature by that key, hex.
    pub fn sign(&self, message: &[u8]) -> String {
        hex(self.0.key.sign(message).as_ref())
    }

    /// Resolves when the simulator ends.
    pub async fn shutdown(&self) {
        let mut running = self.0.running.clone();
        while running.changed().await.is_ok() {}
    }
}
