use super::player::play;
use super::wishes::{Wish, Wishes};
use super::{Order, Update};
use crate::outbox::Outbox;
use secrecy::ExposeSecret as _;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use uro_discord_voice::{
    Config, ConfigError, DaveStatus, End, Event, Events, Frames, Handshake, JoinInfo, Next,
    NotInChannel, Phase, Scheme, Session, Status, Step,
};
use uro_discord_wire::{
    Encryption, Ended, FromBridge, InChannel, Play, Played, Snowflake, Stats, User, VoiceChannel,
    VoiceState,
};

/// The pauses before the first, second … attempt after a loss, in seconds.
const PAUSES: [u64; 8] = [0, 1, 2, 5, 10, 30, 60, 120];

/// A session that lasted so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// How often Elixir hears how a session does.
const STATS: Duration = Duration::from_secs(5);

/// The voice session of one guild: joins, joins again, and leaves.
pub struct Call {
    guild: Snowflake,
    user: Snowflake,
    scheme: Scheme,
    orders: watch::Receiver<Order>,
    updates: mpsc::Receiver<Update>,
    outbox: Outbox,
    wishes: Wishes,
    beginning: u64,
    /// Losses since the last good session.
    losses: usize,
    /// Whether the last loss was one after which it is tried once.
    once: bool,
}

/// Why a session is over.
enum Over {
    /// It is no longer wanted, or wanted elsewhere.
    Ordered,
    /// The bridge ends.
    Bridge,
    /// It is to be joined again.
    Lost(String),
    /// It is to be joined again, but only once.
    LostOnce(String),
    /// It is not joined again before it is wished anew.
    Stopped(String),
}

/// The side of the voice server.
struct Talk {
    session: Arc<Session>,
    events: Events,
    frames: Frames,
    since: Instant,
    stats: Interval,
    /// What is to be played, and whether frames could be sent so far: the beginning is not to be lost.
    play: Option<Play>,
    can_send: bool,
    playing: JoinSet<Played>,
}

impl Call {
    pub fn new(
        guild: Snowflake,
        user: Snowflake,
        scheme: Scheme,
        orders: watch::Receiver<Order>,
        updates: mpsc::Receiver<Update>,
        outbox: Outbox,
        wishes: Wishes,
    ) -> Self {
        Self {
            guild,
            user,
            scheme,
            orders,
            updates,
            outbox,
            wishes,
            beginning: 0,
            losses: 0,
            once: false,
        }
    }

    /// Runs until no channel of the guild is wanted any more, and returns the guild.
    pub async fn run(mut self) -> Snowflake {
        loop {
            let Some(order) = self.orders.borrow_and_update().clone() else {
                self.wishes.remove(self.guild);
                self.report(VoiceState::Left).await;
                break;
            };
            let (reason, delay) = match self.join(order.clone()).await {
                Over::Bridge => break,
                Over::Ordered => continue,
                Over::LostOnce(reason) if self.once => (reason, None),
                Over::LostOnce(reason) => {
                    self.once = true;
                    (reason, Some(self.pause()))
                }
                Over::Lost(reason) => (reason, Some(self.pause())),
                Over::Stopped(reason) => (reason, None),
            };
            tracing::warn!(guild = %self.guild, reason, ?delay, "a voice session is over");
            let retry_ms = delay.and_then(|delay| u64::try_from(delay.as_millis()).ok());
            // Discord is told too: the bot is in no channel meanwhile.
            self.wishes.remove(self.guild);
            self.report(VoiceState::Ended(Ended { reason, retry_ms }))
                .await;
            if !self.wait(&order, delay).await {
                break;
            }
        }
        self.guild
    }

    fn pause(&mut self) -> Duration {
        let seconds = PAUSES[self.losses.min(PAUSES.len() - 1)];
        self.losses += 1;
        Duration::from_secs(seconds)
    }

    /// Waits for the time to join again, or for another order than this one. `false` at the bridge's end.
    async fn wait(&mut self, order: &Arc<VoiceChannel>, delay: Option<Duration>) -> bool {
        let end = delay.map(|delay| Instant::now() + delay);
        loop {
            tokio::select! {
                changed = self.orders.changed() => match (changed, &*self.orders.borrow_and_update()) {
                    (Err(_), _) => return false,
                    (Ok(()), Some(other)) if (other.attempt, other.channel) == (order.attempt, order.channel) => {}
                    (Ok(()), _) => {
                        self.losses = 0;
                        self.once = false;
                        return true;
                    }
                },
                // What is said about the session before is of no use any more.
                Some(update) = self.updates.recv() => if matches!(update, Update::NewSession) {
                    return true;
                },
                () = at(end) => return true,
            }
        }
    }

    /// Joins the channel, and stays.
    async fn join(&mut self, mut order: Arc<VoiceChannel>) -> Over {
        self.beginning += 1;
        self.wish(&order, order.channel);
        let joining = InChannel {
            channel: order.channel,
        };
        self.report(VoiceState::Joining(joining)).await;
        let mut handshake = self.handshake(order.channel);
        let mut talk: Option<Talk> = None;
        loop {
            let deadline = handshake.deadline().map(Instant::from_std);
            let step = tokio::select! {
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        return Over::Bridge;
                    }
                    let Some(other) = self.orders.borrow_and_update().clone() else {
                        return Over::Ordered;
                    };
                    let channel = handshake.channel_id();
                    if other.channel.get() != channel {
                        return Over::Ordered;
                    }
                    if let (Some(talk), true) = (&mut talk, other.play != order.play) {
                        talk.play(other.play.as_ref());
                    }
                    self.wish(&other, other.channel);
                    order = other;
                    None
                }
                Some(update) = self.updates.recv() => {
                    let now = Instant::now().into_std();
                    match update {
                        Update::State { channel, session } => handshake.voice_state(channel.map(Snowflake::get), session.expose_secret(), now),
                        Update::Server { endpoint, token } => handshake.voice_server(endpoint.as_deref(), token.expose_secret(), now),
                        // In which the bot is in no channel, until Discord is told the same wish once more.
                        Update::NewSession => {
                            talk = None;
                            handshake = self.handshake(order.channel);
                            None
                        }
                    }
                }
                () = at(deadline) => handshake.timeout(Instant::now().into_std()),
                heard = hear(&mut talk) => {
                    match heard {
                        Heard::Event(event) => {
                            if let Some(over) = self.event(event, &mut talk, &handshake).await {
                                return over;
                            }
                        }
                        Heard::Played(played) => self.report(VoiceState::Played(played)).await,
                        Heard::StatsDue => self.stats(&talk).await,
                    }
                    None
                }
            };
            match step {
                Some(Step::Join(info)) => {
                    if let Err(error) = self.connect(&mut talk, info, &order).await {
                        return Over::Stopped(error.to_string());
                    }
                }
                Some(Step::ServerGone) => {
                    if let Some(talk) = &talk {
                        talk.session.server_gone().await;
                    }
                }
                Some(Step::Left(reason @ NotInChannel::Disconnected)) => {
                    return Over::Stopped(reason.to_string());
                }
                Some(Step::Left(reason)) => return Over::Lost(reason.to_string()),
                None => {}
            }
        }
    }

    fn handshake(&self, channel: Snowflake) -> Handshake {
        let now = Instant::now().into_std();
        Handshake::new(self.guild.get(), channel.get(), self.user.get(), now)
    }

    async fn connect(
        &self,
        talk: &mut Option<Talk>,
        info: JoinInfo,
        order: &VoiceChannel,
    ) -> Result<(), ConfigError> {
        if let Some(talk) = talk {
            return talk.session.update_server(info).await;
        }
        let config = Config {
            scheme: self.scheme,
            ..Config::new()?
        };
        let (session, events, frames) = Session::join(info, config)?;
        let mut stats = interval(STATS);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let talk = talk.insert(Talk {
            stats,
            session: Arc::new(session),
            events,
            frames,
            since: Instant::now(),
            play: None,
            can_send: false,
            playing: JoinSet::new(),
        });
        talk.play = order.play.clone();
        Ok(())
    }

    async fn event(
        &mut self,
        event: Option<Event>,
        talk: &mut Option<Talk>,
        handshake: &Handshake,
    ) -> Option<Over> {
        let joined = || {
            Snowflake::new(handshake.channel_id())
                .map(|channel| VoiceState::Joined(InChannel { channel }))
        };
        let user = |id| Snowflake::new(id).map(|user| User { user });
        let state = match event {
            Some(Event::Joined { .. } | Event::Resumed) => joined(),
            Some(Event::UserJoined { user_id }) => user(user_id).map(VoiceState::UserJoined),
            Some(Event::UserLeft { user_id }) => user(user_id).map(VoiceState::UserLeft),
            Some(Event::Speaking {
                user_id,
                speaking: true,
            }) => user(user_id).map(VoiceState::Speaking),
            Some(Event::Speaking {
                user_id,
                speaking: false,
            }) => user(user_id).map(VoiceState::Silent),
            Some(Event::Encryption(dave)) => {
                if let (Some(talk), true) = (talk, dave.can_send) {
                    talk.can_send();
                }
                Some(VoiceState::Encryption(encryption(dave)))
            }
            Some(Event::Resuming) => Some(VoiceState::Resuming),
            Some(Event::Waiting) => Some(VoiceState::Waiting),
            Some(Event::Missed(count)) => {
                tracing::warn!(guild = %self.guild, count, "Elixir reads too slowly: events of a voice session were dropped");
                None
            }
            Some(Event::Ended(end)) => return Some(self.ended(&end, talk)),
            Some(_) => None,
            None => return Some(Over::Lost("the voice session ended without a word".into())),
        };
        if let Some(state) = state {
            self.report(state).await;
        }
        None
    }

    fn ended(&mut self, end: &End, talk: &Option<Talk>) -> Over {
        if talk
            .as_ref()
            .is_some_and(|talk| talk.since.elapsed() >= GOOD)
        {
            self.losses = 0;
            self.once = false;
        }
        let reason = end.to_string();
        match end.next() {
            Next::Rejoin => Over::Lost(reason),
            Next::RejoinOnce => Over::LostOnce(reason),
            Next::Stop => Over::Stopped(reason),
        }
    }

    async fn stats(&self, talk: &Option<Talk>) {
        let Some(talk) = talk else { return };
        if let Some(status) = talk.session.status().await
            && matches!(status.phase, Phase::Joined | Phase::Resuming)
        {
            self.report(VoiceState::Stats(stats(&status))).await;
        }
    }

    fn wish(&self, order: &VoiceChannel, channel: Snowflake) {
        let wish = Wish {
            user: self.user,
            channel,
            self_mute: order.self_mute,
            self_deaf: order.self_deaf,
            beginning: self.beginning,
        };
        self.wishes.set(self.guild, wish);
    }

    /// Tells Elixir, as soon as it reads.
    async fn report(&self, state: VoiceState) {
        let guild = self.guild;
        if let Err(error) = self.outbox.send(&FromBridge::Voice { guild, state }).await {
            tracing::error!(%error, "a message cannot be carried to Elixir");
        }
    }
}

impl Talk {
    /// Plays this, or nothing, instead of what is being played.
    fn play(&mut self, what: Option<&Play>) {
        self.playing.abort_all();
        self.play = what.cloned();
        if self.can_send {
            self.begin();
        }
    }

    /// Frames can be sent from now on.
    fn can_send(&mut self) {
        if !self.can_send {
            self.can_send = true;
            self.begin();
        }
    }

    fn begin(&mut self) {
        let Some(what) = self.play.take() else { return };
        let session = Arc::clone(&self.session);
        self.playing.spawn(async move {
            let error = play(&what, &session).await.err();
            Played {
                path: what.path,
                error: error.map(|error| error.to_string()),
            }
        });
    }
}

/// At this time, if ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// What comes of a session.
enum Heard {
    Event(Option<Event>),
    Played(Played),
    StatsDue,
}

/// What comes next of a session, if there is one. Nobody here wants the frames.
async fn hear(talk: &mut Option<Talk>) -> Heard {
    let Some(talk) = talk else {
        return pending().await;
    };
    loop {
        tokio::select! {
            event = talk.events.next() => return Heard::Event(event),
            Some(_) = talk.frames.next() => {}
            Some(played) = talk.playing.join_next() => if let Ok(played) = played {
                return Heard::Played(played);
            },
            _ = talk.stats.tick() => return Heard::StatsDue,
        }
    }
}

fn encryption(dave: DaveStatus) -> Encryption {
    Encryption {
        version: dave.version,
        epoch: dave.epoch,
        privacy_code: dave.privacy_code,
        can_send: dave.can_send,
    }
}

fn stats(status: &Status) -> Stats {
    Stats {
        round_trip_ms: status
            .udp_round_trip
            .map(|time| time.as_secs_f64() * 1000.0),
        loss: status.loss_at_server.map(|share| f64::from(share) / 256.0),
        sent: status.sent.sent,
        unsent: status.sent.no_key + status.sent.not_connected + status.sent.socket,
        received: status.received.delivered,
        lost: status.received.lost,
        undecryptable: status.received.undecryptable + status.received.held_too_long,
    }
}
