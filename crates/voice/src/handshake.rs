//! The main gateway's side of a voice connection.

use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use crate::config::JoinInfo;

/// How long Discord may take to answer. It does not answer at all when the bot may not join, so there is no other way to know.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A server named so shortly before a move may be meant for it …
const SAME_MOVE: Duration = Duration::from_secs(2);

/// … if no other one is named within this.
const NEXT_SERVER: Duration = Duration::from_secs(1);

/// What the main gateway tells about our own voice connection, put together.
///
/// Whoever holds the main gateway sends op 4 (Update Voice State) for a channel, makes one of these, and gives it each
/// `VOICE_STATE_UPDATE` and `VOICE_SERVER_UPDATE` that is about the bot and the guild, in any order, and the time. It says what
/// to do with the [`Session`](crate::Session). It has no clock: `now` is an argument.
///
/// ```
/// use std::time::Instant;
/// use uro_discord_voice::{Handshake, Step};
///
/// let now = Instant::now();
/// let mut handshake = Handshake::new(81, 92, 103, now);
/// assert!(handshake.voice_state(Some(92), "session", now).is_none());
/// let step = handshake.voice_server(Some("rotterdam1.discord.media:2053"), "token", now);
/// let Some(Step::Join(info)) = step else { panic!("{step:?}") };
/// assert_eq!(info.endpoint, "rotterdam1.discord.media:2053");
/// ```
#[derive(Debug)]
pub struct Handshake {
    guild_id: u64,
    user_id: u64,
    /// The channel that was asked for, or that we are in now.
    channel_id: u64,
    session_id: Option<SecretString>,
    server: Option<Server>,
    /// Until when something must come; `None` when all is known.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Server {
    endpoint: String,
    token: SecretString,
    named: Instant,
}

/// What to do.
#[derive(Debug)]
pub enum Step {
    /// Begin a session with this, or give it to the one there is:
    /// [`Session::join`](crate::Session::join), [`Session::update_server`](crate::Session::update_server).
    Join(JoinInfo),
    /// There is no voice server at present: [`Session::server_gone`](crate::Session::server_gone).
    ServerGone,
    /// We are in no channel any more: [`Session::leave`](crate::Session::leave).
    Left(NotInChannel),
}

/// Why we are in no channel.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotInChannel {
    /// Discord did not answer.
    #[error(
        "Discord did not let the bot into channel {channel_id} within {} s: the channel is full, the bot may not see it or \
         connect to it (permissions VIEW_CHANNEL, CONNECT), or there is no such voice channel in guild {guild_id}",
        TIMEOUT.as_secs()
    )]
    Refused {
        /// The channel that was asked for.
        channel_id: u64,
        /// And its guild.
        guild_id: u64,
    },
    /// The bot is in the channel, and there is no voice server.
    #[error("Discord named no voice server for guild {guild_id} within {} s: try again, it may be in trouble", TIMEOUT.as_secs())]
    NoServer {
        /// The guild.
        guild_id: u64,
    },
    /// Somebody disconnected the bot, the channel was deleted, or we left.
    #[error("the bot was disconnected from the voice channel")]
    Disconnected,
}

impl Handshake {
    /// Op 4 for the channel has just been sent.
    #[must_use]
    pub fn new(guild_id: u64, channel_id: u64, user_id: u64, now: Instant) -> Self {
        Self {
            guild_id,
            user_id,
            channel_id,
            session_id: None,
            server: None,
            until: Some(now + TIMEOUT),
        }
    }

    /// The channel that was asked for, or that we are in now: others can move us.
    #[must_use]
    pub fn channel_id(&self) -> u64 {
        self.channel_id
    }

    /// Our own user: `VOICE_STATE_UPDATEs` of others are none of this.
    #[must_use]
    pub fn user_id(&self) -> u64 {
        self.user_id
    }

    /// Our own `VOICE_STATE_UPDATE`.
    pub fn voice_state(
        &mut self,
        channel_id: Option<u64>,
        session_id: &str,
        now: Instant,
    ) -> Option<Step> {
        let Some(channel_id) = channel_id else {
            // Before we were in a channel, it is about the one we were in before.
            self.session_id.take()?;
            self.server = None;
            self.until = None;
            return Some(Step::Left(NotInChannel::Disconnected));
        };
        let same = self
            .session_id
            .as_ref()
            .is_some_and(|known| known.expose_secret() == session_id);
        if same && self.channel_id == channel_id {
            // Muted, deafened, suppressed …
            return None;
        }
        if self.session_id.is_some() {
            // A token is for one channel; this one is most likely for the last.
            self.server.take_if(|server| now > server.named + SAME_MOVE);
            let patience = if self.server.is_some() {
                NEXT_SERVER
            } else {
                TIMEOUT
            };
            self.until = Some(now + patience);
        }
        let moved = self.session_id.replace(session_id.into()).is_some();
        self.channel_id = channel_id;
        if moved { None } else { self.join() }
    }

    /// `VOICE_SERVER_UPDATE` for the guild.
    pub fn voice_server(
        &mut self,
        endpoint: Option<&str>,
        token: &str,
        now: Instant,
    ) -> Option<Step> {
        let Some(endpoint) = endpoint else {
            self.server = None;
            self.until = Some(now + TIMEOUT);
            return self.session_id.is_some().then_some(Step::ServerGone);
        };
        self.server = Some(Server {
            endpoint: endpoint.into(),
            token: token.into(),
            named: now,
        });
        self.join()
    }

    /// Everything is known, or will be soon.
    fn join(&mut self) -> Option<Step> {
        let (session_id, server) = (self.session_id.as_ref()?, self.server.as_ref()?);
        self.until = None;
        Some(Step::Join(JoinInfo {
            endpoint: server.endpoint.clone(),
            guild_id: self.guild_id,
            channel_id: self.channel_id,
            user_id: self.user_id,
            session_id: session_id.clone(),
            token: server.token.clone(),
        }))
    }

    /// When to call [`timeout`](Self::timeout).
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.until
    }

    /// Time has passed. After [`Step::Left`] tell Discord by op 4 that we are in no channel, and begin anew if that is wanted.
    pub fn timeout(&mut self, now: Instant) -> Option<Step> {
        self.until.take_if(|until| now >= *until)?;
        if let Some(step) = self.join() {
            return Some(step);
        }
        let guild_id = self.guild_id;
        Some(Step::Left(match self.session_id.take() {
            Some(_) => NotInChannel::NoServer { guild_id },
            None => NotInChannel::Refused {
                channel_id: self.channel_id,
                guild_id,
            },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUILD: u64 = 1;
    const CHANNEL: u64 = 2;
    const USER: u64 = 3;

    fn begin() -> (Handshake, Instant) {
        let now = Instant::now();
        (Handshake::new(GUILD, CHANNEL, USER, now), now)
    }

    #[track_caller]
    fn joins(step: Option<Step>, channel: u64, endpoint: &str, token: &str) {
        match step {
            Some(Step::Join(info)) => {
                assert_eq!((info.guild_id, info.user_id), (GUILD, USER));
                assert_eq!((info.channel_id, &*info.endpoint), (channel, endpoint));
                assert_eq!(info.token.expose_secret(), token);
                assert_eq!(info.session_id.expose_secret(), "s");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn either_may_come_first() {
        let (mut handshake, now) = begin();
        assert!(handshake.voice_state(Some(CHANNEL), "s", now).is_none());
        joins(
            handshake.voice_server(Some("a"), "t", now),
            CHANNEL,
            "a",
            "t",
        );
        let (mut handshake, now) = begin();
        assert!(handshake.voice_server(Some("a"), "t", now).is_none());
        joins(
            handshake.voice_state(Some(CHANNEL), "s", now),
            CHANNEL,
            "a",
            "t",
        );
        assert_eq!(handshake.deadline(), None);
        // Being muted is no reason for anything.
        assert!(handshake.voice_state(Some(CHANNEL), "s", now).is_none());
    }

    #[test]
    fn silence_is_a_refusal() {
        let (mut handshake, now) = begin();
        assert_eq!(handshake.deadline(), Some(now + TIMEOUT));
        assert!(handshake.timeout(now + TIMEOUT / 2).is_none());
        let step = handshake.timeout(now + TIMEOUT);
        let Some(Step::Left(reason @ NotInChannel::Refused { .. })) = step else {
            panic!("{step:?}");
        };
        assert!(reason.to_string().contains("full"), "{reason}");
        assert!(handshake.timeout(now + TIMEOUT).is_none());

        let (mut handshake, now) = begin();
        handshake.voice_state(Some(CHANNEL), "s", now);
        let step = handshake.timeout(now + TIMEOUT);
        assert!(matches!(
            step,
            Some(Step::Left(NotInChannel::NoServer { .. }))
        ));
    }

    #[test]
    fn a_region_changes() {
        let (mut handshake, now) = begin();
        handshake.voice_state(Some(CHANNEL), "s", now);
        handshake.voice_server(Some("a"), "t", now);
        assert!(matches!(
            handshake.voice_server(None, "t", now),
            Some(Step::ServerGone)
        ));
        assert_eq!(handshake.deadline(), Some(now + TIMEOUT));
        joins(
            handshake.voice_server(Some("b"), "u", now),
            CHANNEL,
            "b",
            "u",
        );
        assert_eq!(handshake.deadline(), None);
    }

    #[test]
    fn a_move_needs_a_new_token() {
        let (mut handshake, now) = begin();
        handshake.voice_state(Some(CHANNEL), "s", now);
        handshake.voice_server(Some("a"), "t", now);
        let later = now + Duration::from_secs(60);
        assert!(handshake.voice_state(Some(9), "s", later).is_none());
        joins(handshake.voice_server(Some("a"), "u", later), 9, "a", "u");
    }

    #[test]
    fn a_move_right_after_joining_waits_for_its_own_token() {
        let (mut handshake, now) = begin();
        handshake.voice_server(Some("a"), "t", now);
        handshake.voice_state(Some(CHANNEL), "s", now);
        assert!(handshake.voice_state(Some(9), "s", now).is_none());
        joins(handshake.voice_server(Some("a"), "u", now), 9, "a", "u");
        // The other way round there is a false start, which is put right.
        let later = now + Duration::from_secs(60);
        joins(handshake.voice_server(Some("a"), "v", later), 9, "a", "v");
        assert!(handshake.voice_state(Some(10), "s", later).is_none());
        assert_eq!(handshake.deadline(), Some(later + NEXT_SERVER));
        joins(handshake.timeout(later + NEXT_SERVER), 10, "a", "v");
        assert_eq!(handshake.deadline(), None);
    }

    #[test]
    fn being_disconnected_is_told_once_and_not_before_being_in() {
        let (mut handshake, now) = begin();
        assert!(handshake.voice_state(None, "s", now).is_none());
        handshake.voice_state(Some(CHANNEL), "s", now);
        handshake.voice_server(Some("a"), "t", now);
        let step = handshake.voice_state(None, "s", now);
        assert!(matches!(step, Some(Step::Left(NotInChannel::Disconnected))));
        assert!(handshake.voice_state(None, "s", now).is_none());
        assert_eq!(handshake.deadline(), None);
    }

    #[test]
    fn debug_does_not_show_the_token() {
        let (mut handshake, now) = begin();
        handshake.voice_server(Some("a"), "t0ken", now);
        handshake.voice_state(Some(CHANNEL), "s3ssion", now);
        let shown = format!("{handshake:?}");
        assert!(
            !shown.contains("t0ken") && !shown.contains("s3ssion"),
            "{shown}"
        );
    }
}
