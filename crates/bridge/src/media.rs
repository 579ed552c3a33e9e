use tokio::runtime::{EnterGuard, Handle};
use tokio::task::{JoinHandle, JoinSet};
use uro_discord_voice::{Config, ConfigError, Scheme, Tls, VideoConfig};

/// What rooms' media runs with: its workers, on which frames wait neither for the gateway nor for Elixir, nor these for media; and
/// whom TLS trusts, which is made once for all sessions.
#[derive(Clone)]
pub struct Media {
    workers: Handle,
    tls: Tls,
}

impl Media {
    /// Media that runs on this runtime, which must have IO and time. With one of several threads, MLS holds up no other room.
    ///
    /// # Errors
    ///
    /// When TLS cannot be set up.
    pub fn new(workers: Handle) -> Result<Self, ConfigError> {
        let tls = Tls::new(None)?;
        Ok(Self { workers, tls })
    }

    /// The settings of a session in which nobody listens until a portal does, and that can send video if it is to.
    pub(crate) fn config(&self, scheme: Scheme, video: bool) -> Config {
        Config {
            scheme,
            receive: false,
            video: video.then(VideoConfig::default),
            ..Config::with_tls(self.tls.clone())
        }
    }

    /// What is made while this is held has its IO and time on the workers.
    pub(crate) fn enter(&self) -> EnterGuard<'_> {
        self.workers.enter()
    }

    /// Runs it on the workers. It goes on when the handle is dropped.
    pub(crate) fn spawn(&self, media: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.workers.spawn(media)
    }

    /// Runs it on the workers, for as long as `tasks` are there.
    pub(crate) fn spawn_in<T: Send + 'static>(
        &self,
        tasks: &mut JoinSet<T>,
        media: impl Future<Output = T> + Send + 'static,
    ) {
        tasks.spawn_on(media, &self.workers);
    }
}
