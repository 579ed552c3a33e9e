//! The voice session of one guild.

mod active_session;
mod facts;
mod retry;

use super::calls::{Calls, WantedVideo};
use super::desired::{DesiredVoiceState, DesiredVoiceStates};
use super::{Order, Surroundings, Update};
use crate::panics;
use crate::sender::FrameSender;
use active_session::{Heard, hear};
use facts::{anew, fact, stats};
use retry::Retries;
use secrecy::ExposeSecret as _;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use uro_discord_voice::{
    ConfigError, DaveStatus, End, Event, Handshake, JoinInfo, Next, NotInChannel, Phase, Scheme,
    Step,
};
use uro_discord_wire::{
    Ended, FromBridge, InChannel, Panicked, Snowflake, Suppressed, VoiceChannel, VoiceState,
};

pub use active_session::ActiveSession;

/// Makes a session as it is ordered.
pub type Begin = Arc<
    dyn Fn(JoinInfo, Scheme, &VoiceChannel) -> Result<ActiveSession, ConfigError> + Send + Sync,
>;

/// The voice session of one guild: joins, joins again, and leaves.
pub struct Call {
    guild: Snowflake,
    user: Snowflake,
    scheme: Scheme,
    orders: watch::Receiver<Order>,
    updates: mpsc::Receiver<Update>,
    sender: FrameSender,
    states: DesiredVoiceStates,
    calls: Calls,
    begin: Begin,
    beginning: u64,
    /// Losses since the last good session.
    retries: Retries,
}

/// Why a session is over.
enum Over {
    /// It is no longer wanted, or wanted elsewhere.
    Ordered,
    /// The bridge ends.
    Bridge,
    /// It ended, or there was none: what is to be done, and the reason.
    Session(Next, String),
}

impl Call {
    pub fn new(
        guild: Snowflake,
        user: Snowflake,
        scheme: Scheme,
        orders: watch::Receiver<Order>,
        updates: mpsc::Receiver<Update>,
        surroundings: Surroundings,
    ) -> Self {
        let Surroundings {
            sender,
            states,
            calls,
            begin,
        } = surroundings;
        Self {
            guild,
            user,
            scheme,
            orders,
            updates,
            sender,
            beginning: states.beginnings(),
            states,
            calls,
            begin,
            retries: Retries::default(),
        }
    }

    /// Runs until no channel of the guild is wanted any more, and returns the guild.
    pub async fn run(mut self) -> Snowflake {
        loop {
            let Some(order) = self.orders.borrow_and_update().clone() else {
                self.states.remove(self.guild);
                self.report(VoiceState::Left).await;
                break;
            };
            let over = match panics::caught(self.join(order.clone())).await {
                Ok(over) => over,
                Err(panics::Panicked) => self.panicked().await,
            };
            self.calls.over(self.guild);
            let (reason, delay) = match over {
                Over::Bridge => break,
                Over::Ordered => continue,
                Over::Session(next, reason) => {
                    (reason, self.retries.pause(next, Instant::now().into_std()))
                }
            };
            match delay {
                Some(delay) => {
                    tracing::warn!(guild = %self.guild, reason, ?delay, "a voice session is over, and begun again");
                }
                None => {
                    tracing::warn!(guild = %self.guild, reason, "a voice session is over until it is asked for anew");
                }
            }
            let retry_ms = delay.and_then(|delay| u64::try_from(delay.as_millis()).ok());
            // Discord is told too: the bot is in no channel meanwhile.
            self.states.remove(self.guild);
            self.report(VoiceState::Ended(Ended { reason, retry_ms }))
                .await;
            if !self.wait(&order, delay).await {
                break;
            }
        }
        self.guild
    }

    /// Its session, and all that belonged to it, is gone.
    async fn panicked(&self) -> Over {
        let guild = self.guild;
        self.tell(&FromBridge::Panic(Panicked::Room(guild))).await;
        let reason = "the bridge panicked, which is a fault of uro_discord's: its log has where";
        Over::Session(Next::Rejoin, reason.into())
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
                        self.retries.forget();
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
        self.desire(&order);
        let joining = InChannel {
            channel: order.channel,
        };
        self.report(VoiceState::Joining(joining)).await;
        // From the moment when Discord was asked: until then the budget may hold the question back.
        let mut handshake: Option<Handshake> = None;
        let mut active: Option<ActiveSession> = None;
        let mut suppressed = false;
        loop {
            let deadline = handshake.as_ref().and_then(Handshake::deadline);
            let deadline = deadline.map(Instant::from_std);
            let step = tokio::select! {
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        return Over::Bridge;
                    }
                    let Some(other) = self.orders.borrow_and_update().clone() else {
                        return Over::Ordered;
                    };
                    let channel = handshake.as_ref().map_or(order.channel.get(), Handshake::channel_id);
                    if other.channel.get() != channel {
                        return Over::Ordered;
                    }
                    if active.is_some() && other.video != order.video {
                        let reason = "its video was switched on or off";
                        return Over::Session(Next::Rejoin, reason.into());
                    }
                    if let (Some(active), true) = (&mut active, other.play != order.play) {
                        active.play(other.play.as_ref());
                    }
                    self.desire(&other);
                    let again = other.attempt != order.attempt;
                    order = other;
                    if again {
                        self.retell(order.channel, suppressed, &active).await;
                    }
                    None
                }
                Some(update) = self.updates.recv() => {
                    let now = Instant::now().into_std();
                    match update {
                        Update::Asked { beginning } => {
                            if beginning == self.beginning {
                                handshake = Some(self.handshake(order.channel));
                            }
                            None
                        }
                        Update::State { channel, session, suppressed: now_suppressed } => {
                            if let (Some(channel), true) = (channel, now_suppressed != suppressed) {
                                suppressed = now_suppressed;
                                self.report(VoiceState::Suppressed(Suppressed { channel, suppressed })).await;
                            }
                            let channel = channel.map(Snowflake::get);
                            handshake.as_mut().and_then(|handshake| handshake.voice_state(channel, session.expose_secret(), now))
                        }
                        Update::Server { endpoint, token } => handshake.as_mut().and_then(|handshake| {
                            handshake.voice_server(endpoint.as_deref(), token.expose_secret(), now)
                        }),
                        // In which the bot is in no channel, until Discord is asked once more.
                        Update::NewSession => {
                            self.states.joined(self.guild, false);
                            active = None;
                            handshake = None;
                            self.calls.over(self.guild);
                            None
                        }
                    }
                }
                () = at(deadline) => handshake.as_mut().and_then(|handshake| handshake.timeout(Instant::now().into_std())),
                heard = hear(&mut active) => {
                    match heard {
                        Heard::Event(event) => {
                            let channel = handshake.as_ref().map_or(order.channel.get(), Handshake::channel_id);
                            if let Some(over) = self.event(event, &mut active, channel).await {
                                return over;
                            }
                        }
                        Heard::Played(played) => self.report(VoiceState::Played(played)).await,
                        Heard::StatsDue => self.stats(&active).await,
                    }
                    None
                }
            };
            match step {
                Some(Step::Join(info)) => {
                    if let Err(error) = self.connect(&mut active, info, &order).await {
                        return Over::Session(Next::Stop, error.to_string());
                    }
                }
                Some(Step::ServerGone) => {
                    if let Some(active) = &active {
                        active.session.server_gone().await;
                    }
                }
                Some(Step::Left(reason @ NotInChannel::Disconnected)) => {
                    return Over::Session(Next::Stop, reason.to_string());
                }
                Some(Step::Left(reason)) => return Over::Session(Next::Rejoin, reason.to_string()),
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
        active: &mut Option<ActiveSession>,
        info: JoinInfo,
        order: &VoiceChannel,
    ) -> Result<(), ConfigError> {
        match active {
            Some(active) => active.session.update_server(info).await,
            None => {
                let begun = (self.begin)(info, self.scheme, order)?;
                if order.video {
                    // Nobody takes others' here.
                    if let Err(error) = begun.session.want_video(None, 0).await {
                        tracing::debug!(guild = %self.guild, %error, "others' video");
                    }
                }
                let live = begun.live();
                self.calls.change(self.guild, |call| {
                    call.live = Some(live);
                    call.video = order.video.then(WantedVideo::default);
                });
                *active = Some(begun);
                Ok(())
            }
        }
    }

    async fn event(
        &mut self,
        event: Option<Event>,
        active: &mut Option<ActiveSession>,
        channel: u64,
    ) -> Option<Over> {
        match event {
            None => {
                let reason = "the voice session ended without a word".into();
                return Some(Over::Session(Next::Rejoin, reason));
            }
            Some(Event::Ended(end)) => {
                if let (End::Dropped, Some(active)) = (&end, active) {
                    active.ended().await;
                }
                return Some(Over::Session(end.next(), end.to_string()));
            }
            Some(Event::Missed(count)) => {
                tracing::warn!(guild = %self.guild, count, "Elixir reads too slowly: events of a voice session were dropped");
                if let Some(active) = active
                    && let Some(status) = active.session.status().await
                {
                    let users = status.users.into_iter().collect();
                    self.calls.change(self.guild, |call| {
                        call.users = users;
                        if let (Some(wanted), Some(video)) = (&mut call.video, status.video) {
                            wanted.codec = video.codec;
                            wanted.watched = video.wanted != Some(0);
                            // One may have been asked for.
                            wanted.keyframes = wanted.keyframes.saturating_add(1);
                        }
                    });
                }
            }
            Some(event) => {
                if matches!(event, Event::Joined { .. }) {
                    self.states.joined(self.guild, true);
                    self.retries.joined(Instant::now().into_std());
                }
                if let (Event::Encryption(DaveStatus { can_send: true, .. }), Some(active)) =
                    (&event, active)
                {
                    active.can_send();
                }
                match event {
                    Event::UserJoined { user_id } => self.calls.change(self.guild, |call| {
                        call.users.insert(user_id);
                    }),
                    Event::UserLeft { user_id } => self.calls.change(self.guild, |call| {
                        call.users.remove(&user_id);
                    }),
                    Event::VideoCodec(codec) => self.video(|video| video.codec = codec),
                    // Another voice server may say otherwise.
                    Event::Joined { .. } => self.video(|video| video.watched = true),
                    Event::VideoWanted(quality) => self.video(|video| video.watched = quality > 0),
                    Event::KeyframeWanted => {
                        self.video(|video| video.keyframes = video.keyframes.saturating_add(1));
                    }
                    _ => {}
                }
                if let Some(state) = fact(event, channel) {
                    self.report(state).await;
                }
            }
        }
        None
    }

    /// What is wanted of our video has changed, in a session that can send it.
    fn video(&self, change: impl FnOnce(&mut WantedVideo)) {
        self.calls.change(self.guild, |call| {
            if let Some(video) = &mut call.video {
                change(video);
            }
        });
    }

    /// Whoever joins where the session is already may know nothing of it: a leave just before may not have come here.
    async fn retell(&self, channel: Snowflake, suppressed: bool, active: &Option<ActiveSession>) {
        let status = match active {
            Some(active) => active.session.status().await,
            None => None,
        };
        for state in anew(channel, status) {
            self.report(state).await;
        }
        if suppressed {
            self.report(VoiceState::Suppressed(Suppressed {
                channel,
                suppressed,
            }))
            .await;
        }
    }

    async fn stats(&self, active: &Option<ActiveSession>) {
        let Some(active) = active else { return };
        if let Some(status) = active.session.status().await
            && matches!(status.phase, Phase::Joined | Phase::Resuming)
        {
            self.report(VoiceState::Stats(stats(&status))).await;
        }
    }

    fn desire(&self, order: &VoiceChannel) {
        let desired = DesiredVoiceState {
            user: self.user,
            channel: order.channel,
            self_mute: order.self_mute,
            self_deaf: order.self_deaf,
            beginning: self.beginning,
            joined: false,
        };
        self.states.set(self.guild, desired);
    }

    /// Tells Elixir, as soon as it reads.
    async fn report(&self, state: VoiceState) {
        let guild = self.guild;
        self.tell(&FromBridge::Voice { guild, state }).await;
    }

    async fn tell(&self, message: &FromBridge<'_>) {
        if let Err(error) = self.sender.send(message).await {
            tracing::error!(%error, "a message cannot be carried to Elixir");
        }
    }
}

/// At this time, if ever.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
