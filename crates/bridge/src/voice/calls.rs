//! The guilds' calls, as a portal sees them that joins one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::watch;
use uro_discord_voice::{Frames, Session, VideoCodec};
use uro_discord_wire::Snowflake;

/// A handle to all of them.
#[derive(Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<Snowflake, watch::Sender<InCall>>>>);

/// What there is in a guild's call.
#[derive(Clone, Default)]
pub struct InCall {
    /// The session, if there is one.
    pub live: Option<Live>,
    /// Whoever else is in the channel.
    pub users: BTreeSet<u64>,
    /// What is wanted of our video; `None`: the session can send none.
    pub video: Option<WantedVideo>,
}

/// What Discord's voice server, and those who see us, want of our video.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WantedVideo {
    /// `None`: it has named none that we have.
    pub codec: Option<VideoCodec>,
    /// It is to be sent at all.
    pub watched: bool,
    /// Keyframes that were asked for.
    pub keyframes: u64,
}

impl Default for WantedVideo {
    fn default() -> Self {
        Self {
            codec: None,
            // Until it says otherwise.
            watched: true,
            keyframes: 0,
        }
    }
}

/// A running session. It is not kept: its call ends it.
#[derive(Clone)]
pub struct Live {
    pub session: Weak<Session>,
    /// Others' frames, for whoever holds the lock.
    pub frames: Arc<tokio::sync::Mutex<Frames>>,
}

impl Live {
    /// Whether both are of one session.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.frames, &other.frames)
    }
}

impl Calls {
    /// A guild's call, be there one or not.
    pub fn follow(&self, guild: Snowflake) -> watch::Receiver<InCall> {
        let mut calls = self.calls();
        sweep(&mut calls);
        calls.entry(guild).or_default().subscribe()
    }

    pub(super) fn change(&self, guild: Snowflake, change: impl FnOnce(&mut InCall)) {
        self.calls().entry(guild).or_default().send_modify(change);
    }

    /// The session is over.
    pub(super) fn over(&self, guild: Snowflake) {
        let mut calls = self.calls();
        if let Some(call) = calls.get(&guild) {
            call.send_replace(InCall::default());
        }
        sweep(&mut calls);
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<Snowflake, watch::Sender<InCall>>> {
        // What runs under it is short and does not panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the calls that nobody is in, and nobody follows.
fn sweep(calls: &mut BTreeMap<Snowflake, watch::Sender<InCall>>) {
    calls.retain(|_, call| call.receiver_count() > 0 || call.borrow().live.is_some());
}
