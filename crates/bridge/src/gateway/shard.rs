//! A shard: when its connection may be opened, what is said over it, and when it has to end.
//!
//! A machine without sockets and clock: time is an argument. It is told what is desired, what the connection brings and how late it is, and
//! answers with [`Output`]s, which are to be carried out in their order before it is told anything else. [`Shard::deadline`] says when it
//! wants to be told the time.

mod payloads;
#[cfg(test)]
mod tests;

pub use payloads::INTERACTION;

use super::commands::{Command, Commands};
use super::payload::Payload;
use super::progress::Progress;
use super::{same_connections, voice};
use crate::desired::{Desired, is_websocket};
use crate::voice::{Addressed, DesiredVoiceState};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use twilight_model::gateway::CloseCode;
use uro_discord_net::{Backoff, Pauses};
use uro_discord_wire::{Closed, Gateway, GatewayState, Snowflake};

/// Discord resets the token of a bot after 1000 identifies in a day: the longest pause, kept up, makes 960 at most.
const PAUSES: Pauses = Pauses {
    at_once: true,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(180),
};

/// How long Discord may take to say hello. twilight gives the connecting itself 10 s, and would then wait for ever.
const HELLO: Duration = Duration::from_secs(20);

/// How long a connection may last on which Discord has asked for another.
const LINGERING: Duration = Duration::from_secs(2);

/// How long Discord may take to answer a close.
const CLOSING: Duration = Duration::from_millis(400);

/// A session of Discord's that can be taken up again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resumable {
    pub id: String,
    pub sequence: u64,
    /// Where Discord wants it to be resumed.
    pub url: Option<String>,
    /// Nobody answered there the last time, so the next attempt goes to where sessions begin.
    pub elsewhere: bool,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Open a connection, to resume the shard's session if it has one, and to identify otherwise.
    Connect,
    /// Close the connection; it is still listened to until the other side has closed it too.
    Close(Goodbye),
    /// Drop the connection.
    Disconnect,
    /// Send a command to Discord.
    Send(Command),
    /// Tell Elixir a fact.
    Report(GatewayState),
    /// Tell Elixir how far the session is.
    Sequence { session: String, sequence: u64 },
    /// Tell the calls what Discord says about voice.
    Voice(Addressed),
}

/// How a connection is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Goodbye {
    /// The session can be resumed.
    Resumable,
    /// The session ends, and the bot is seen to go offline.
    Final,
}

/// Why a shard may not go on as it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    /// No gateway is wanted any more. The session is not ended: another process may take it up.
    Left,
    /// It is another bridge's now, which takes up the session when it knows that this one has left it.
    Released,
    /// Another gateway is wanted. This one's session ends.
    Replaced,
    /// The lease is over; the session is taken up again under the next one.
    Lapsed,
    /// Whoever had the lease is gone. Nobody else has the session before the next one, and what Discord was told in it holds.
    LetGo,
}

/// Where a shard is in its life.
#[derive(Debug)]
enum Phase {
    /// It has no lease.
    Unleased,
    /// It waits for the permission to identify. So many there were before, which were for then and are not kept.
    Waiting { before: u64 },
    /// It lets some time pass.
    Paused { until: Instant },
    /// Its connection is being opened, or is open.
    Connected(Connection),
    /// Its connection is closed from here, and Discord has yet to answer.
    Closing { until: Instant, stop: Stop },
    /// Discord will not have it as this gateway has it.
    Refused(Arc<Gateway>),
    /// This gateway is not wanted any more.
    Over,
}

/// A connection's own story.
#[derive(Debug)]
struct Connection {
    /// Since when its session runs.
    active: Option<Instant>,
    greeted: bool,
    /// When it is over unless it went on until then, and the reason.
    deadline: Option<(Instant, &'static str)>,
    /// Discord has asked for another connection, for this reason.
    leaving: Option<&'static str>,
}

/// Opens the connection when that is allowed, and opens it again when it is lost, until its gateway is no longer the desired one.
#[derive(Debug)]
pub struct Shard {
    number: u32,
    gateway: Arc<Gateway>,
    era: u64,
    phase: Phase,
    /// Until when the connection may be held.
    lease: Option<Instant>,
    /// How often this shard was allowed to identify.
    allowed: u64,
    /// Whether what comes is read. While it is not, nothing is sent either: twilight does both at once.
    reading: bool,
    backoff: Backoff,
    session: Option<Resumable>,
    user_id: Option<String>,
    /// The attachment whose gateway it was told.
    attachment: u64,
    /// Whether that is over.
    let_go: bool,
    /// Up to here the session was heard once, before it was taken up from an earlier place.
    replayed_to: u64,
    commands: Commands,
    progress: Progress,
    outputs: VecDeque<Output>,
}

impl Shard {
    /// The shard of this number, as it is desired now; `window` is that of the command budget.
    pub fn new(number: u32, gateway: Arc<Gateway>, desired: &Desired, window: Duration) -> Self {
        let Desired {
            era, attachment, ..
        } = *desired;
        Self {
            number,
            session: given(&gateway, number),
            gateway,
            era,
            phase: Phase::Unleased,
            lease: None,
            allowed: 0,
            reading: true,
            backoff: Backoff::new(PAUSES),
            user_id: None,
            attachment,
            let_go: false,
            replayed_to: 0,
            commands: Commands::new(window),
            progress: Progress::default(),
            outputs: VecDeque::new(),
        }
    }

    pub fn number(&self) -> u32 {
        self.number
    }

    /// The gateway as it was last desired.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub fn session(&self) -> Option<&Resumable> {
        self.session.as_ref()
    }

    /// Whether its gateway is not wanted any more, and its connection is closed.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether it only waits for Discord to answer its close. What comes until then comes again.
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::Closing { .. })
    }

    /// What is to be done next, if anything.
    pub fn output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When it wants to be told the time, at the latest. It may be a time that has passed, but not just after it was told.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let next = match &self.phase {
            Phase::Unleased | Phase::Refused(_) | Phase::Over => return None,
            Phase::Closing { until, .. } => return Some(*until),
            Phase::Waiting { .. } => None,
            Phase::Paused { until } => Some(*until),
            Phase::Connected(_) if !self.reading => None,
            Phase::Connected(connection) => {
                let commands = connection.takes_commands();
                let next = [
                    connection.deadline.map(|(end, _)| end),
                    self.commands.due(now).filter(|_| commands),
                    self.progress.due(now),
                ];
                next.into_iter().flatten().min()
            }
        };
        next.into_iter().chain(self.lease).min()
    }

    /// So late it is.
    pub fn advance(&mut self, now: Instant) {
        loop {
            let leased = self.lease.is_some_and(|lease| lease > now);
            match &self.phase {
                Phase::Unleased if leased => self.attempt(now),
                Phase::Waiting { .. } | Phase::Paused { .. } | Phase::Connected(_) if !leased => {
                    self.stop(self.lapse(), now);
                }
                Phase::Waiting { before } if self.allowed > *before => self.connect(now),
                Phase::Paused { until } if *until <= now => self.attempt(now),
                Phase::Closing { until, stop } if *until <= now => {
                    tracing::debug!(shard = self.number, "Discord did not answer the close");
                    self.stopped(*stop);
                }
                Phase::Refused(gateway) if !Arc::ptr_eq(gateway, &self.gateway) => {
                    self.session = given(&self.gateway, self.number);
                    self.backoff = Backoff::new(PAUSES);
                    self.phase = Phase::Paused { until: now };
                }
                Phase::Connected(connection) if self.reading => match connection.deadline {
                    Some((end, reason)) if end <= now => self.lost(closed(reason), now),
                    _ => return self.tell(connection.takes_commands(), now),
                },
                _ => return,
            }
        }
    }

    /// This is desired now.
    pub fn desired(&mut self, desired: &Desired, now: Instant) {
        self.commands.presence.want(desired.presence.clone());
        self.let_go = self.attachment != desired.attachment;
        self.lease = desired.lease.filter(|_| !self.let_go);
        let allowed = desired.identifies.get(&self.number);
        self.allowed = allowed.copied().unwrap_or(0);
        match &desired.gateway {
            _ if desired.era != self.era => self.stop(Stop::Left, now),
            None => self.stop(Stop::Left, now),
            Some(other) if same_connections(&self.gateway, other) => {
                let other = other.clone();
                // With each attachment the gateway is told anew.
                if self.let_go && !Arc::ptr_eq(&self.gateway, &other) {
                    self.attached(&other, desired, now);
                }
                self.gateway = other;
                if !self.gateway.holds(self.number) {
                    self.stop(Stop::Released, now);
                }
            }
            Some(_) => self.stop(Stop::Replaced, now),
        }
        self.advance(now);
    }

    /// Somebody has come who desires this gateway, and says how far he has heard the session.
    fn attached(&mut self, gateway: &Gateway, desired: &Desired, now: Instant) {
        // If there was no time to see that the one before had gone.
        if let Phase::Waiting { .. } | Phase::Paused { .. } | Phase::Connected(_) = self.phase {
            self.stop(Stop::LetGo, now);
        }
        self.attachment = desired.attachment;
        self.let_go = false;
        self.lease = desired.lease;
        let told = given(gateway, self.number);
        match (&mut self.session, told) {
            // What came after that goes to him, for the first time or not.
            (Some(own), Some(told)) if own.id == told.id && told.sequence <= own.sequence => {
                self.replayed_to = self.replayed_to.max(own.sequence);
                own.sequence = told.sequence;
            }
            (_, told) => {
                self.session = told;
                self.replayed_to = 0;
                self.commands.forget();
            }
        }
    }

    /// Nobody desires anything any more.
    pub fn abandoned(&mut self, now: Instant) {
        self.stop(Stop::Left, now);
    }

    /// Whether what the connection brings is read.
    pub fn reads(&mut self, reading: bool, now: Instant) {
        if self.reading != reading {
            self.reading = reading;
            self.advance(now);
        }
    }

    /// Where the bot is to be in a guild; `None`: in no channel.
    pub fn voice(&mut self, guild: Snowflake, desired: Option<DesiredVoiceState>) {
        self.commands.voice.desire(guild, desired);
    }

    /// The connection has brought a payload. Whether Elixir wants it as an event of the session.
    pub fn payload(&mut self, payload: &Payload<'_>, now: Instant) -> bool {
        match self.phase {
            Phase::Connected(_) => self.heard(payload, now),
            _ => false,
        }
    }

    /// Discord has closed the connection, or has answered the close.
    pub fn closed(&mut self, code: u16, reason: &str, now: Instant) {
        let Phase::Connected(connection) = &self.phase else {
            return self.disconnected("", now);
        };
        if connection.leaving.is_some() {
            return self.disconnected("", now);
        }
        let closed = Closed {
            code: Some(code),
            reason: reason.into(),
        };
        if CloseCode::try_from(code).is_ok_and(|code| !code.can_reconnect()) {
            self.refused(closed, now);
        } else {
            // Discord does not know this place in the session, and would say so again each time that it is resumed from there.
            if code == CloseCode::InvalidSequence as u16 {
                self.session = None;
            }
            self.lost(closed, now);
        }
        self.advance(now);
    }

    /// The connection has ended without a word, or was not to be had.
    pub fn disconnected(&mut self, reason: &str, now: Instant) {
        match &self.phase {
            Phase::Connected(connection) => {
                let reason = connection.leaving.unwrap_or(reason);
                self.lost(closed(reason), now);
                self.advance(now);
            }
            Phase::Closing { stop, .. } => {
                self.stopped(*stop);
                self.advance(now);
            }
            _ => {}
        }
    }

    /// Something panicked that had to do with the connection, which is gone. What was known before stays.
    pub fn panicked(&mut self, now: Instant) {
        const REASON: &str =
            "the bridge panicked, which is a fault of uro_discord's: its log has where";
        match &self.phase {
            Phase::Over => {}
            Phase::Closing { stop, .. } => self.stopped(*stop),
            _ => self.lost(closed(REASON), now),
        }
        self.advance(now);
    }

    /// Opens the connection, or asks for the permission to identify first.
    fn attempt(&mut self, now: Instant) {
        if self.session.is_some() {
            return self.connect(now);
        }
        let before = self.allowed;
        self.phase = Phase::Waiting { before };
        self.report(GatewayState::Waiting);
    }

    fn connect(&mut self, now: Instant) {
        self.phase = Phase::Connected(Connection::new(now));
        self.progress.settled();
        self.commands.connected();
        self.report(GatewayState::Connecting);
        self.outputs.push_back(Output::Connect);
    }

    /// Sends and says what is due, as far as the budget goes.
    fn tell(&mut self, commands: bool, now: Instant) {
        while commands && let Some(command) = self.commands.next(now) {
            let asked = match &command {
                Command::Voice(command) => voice::asked(command),
                Command::Presence(_) => None,
            };
            self.outputs.push_back(Output::Send(command));
            self.outputs.extend(asked.map(Output::Voice));
        }
        if self.progress.due(now).is_some_and(|due| due <= now)
            && let Some(sequence) = self.progress.tell(now)
        {
            let session = self.session.as_ref().map(|session| session.id.clone());
            let session = session.unwrap_or_default();
            self.outputs
                .push_back(Output::Sequence { session, sequence });
        }
    }

    /// The connection is not to be had, or not any more, and is opened again after a pause.
    fn lost(&mut self, closed: Closed, now: Instant) {
        if let Some(since) = self.leave(now) {
            self.backoff.up(since.into_std());
        }
        let delay = self.backoff.failed(now.into_std());
        tracing::warn!(
            shard = self.number,
            code = closed.code,
            reason = closed.reason,
            ?delay,
            "gateway connection lost"
        );
        self.phase = Phase::Paused { until: now + delay };
        self.report(GatewayState::Disconnected(closed));
    }

    /// Discord will not have it, however often it is tried.
    fn refused(&mut self, closed: Closed, now: Instant) {
        self.leave(now);
        tracing::error!(
            shard = self.number,
            code = closed.code,
            reason = closed.reason,
            "Discord refuses the gateway connection"
        );
        self.phase = Phase::Refused(self.gateway.clone());
        self.report(GatewayState::Fatal(closed));
    }

    /// Notes for the next connection how this one went, which is gone. Since when its session ran.
    fn leave(&mut self, now: Instant) -> Option<Instant> {
        let Phase::Connected(connection) = &self.phase else {
            return None;
        };
        if connection.active.is_some() {
            self.commands.lost(now);
        }
        if let Some(session) = &mut self.session {
            session.elsewhere = !connection.greeted && !session.elsewhere;
        }
        self.outputs.push_back(Output::Disconnect);
        connection.active
    }

    /// It may not go on as it does.
    fn stop(&mut self, stop: Stop, now: Instant) {
        match &mut self.phase {
            Phase::Connected(connection) => {
                if connection.active.is_some() {
                    self.commands.lost(now);
                }
                let until = now + CLOSING;
                self.phase = Phase::Closing { until, stop };
                self.outputs.push_back(Output::Close(match stop {
                    Stop::Left | Stop::Released | Stop::Lapsed | Stop::LetGo => Goodbye::Resumable,
                    Stop::Replaced => Goodbye::Final,
                }));
            }
            // What was closed for the lease may turn out not to be wanted at all.
            Phase::Closing {
                stop: before @ (Stop::Lapsed | Stop::LetGo),
                ..
            } => *before = stop,
            Phase::Closing { .. } | Phase::Over => {}
            _ => self.stopped(stop),
        }
    }

    /// There is no connection any more, as it was to be.
    fn stopped(&mut self, stop: Stop) {
        if self.is_closing() {
            self.outputs.push_back(Output::Disconnect);
        }
        let reason = match stop {
            Stop::Left | Stop::Replaced => {
                self.phase = Phase::Over;
                return;
            }
            Stop::Released => {
                self.phase = Phase::Over;
                return self.report(GatewayState::Released);
            }
            Stop::Lapsed => {
                // Whoever holds the session meanwhile may show another.
                self.commands.forget();
                "the lease lapsed"
            }
            Stop::LetGo => {
                // It is told of the presence too.
                self.commands.presence.forget();
                "Uro has gone"
            }
        };
        self.phase = Phase::Unleased;
        tracing::warn!(shard = self.number, "{reason}");
        self.report(GatewayState::Disconnected(closed(reason)));
    }

    /// Why there is no lease.
    fn lapse(&self) -> Stop {
        if self.let_go {
            Stop::LetGo
        } else {
            Stop::Lapsed
        }
    }

    fn report(&mut self, state: GatewayState) {
        self.outputs.push_back(Output::Report(state));
    }
}

impl Connection {
    fn new(now: Instant) -> Self {
        Self {
            active: None,
            greeted: false,
            deadline: Some((now + HELLO, "Discord did not say hello")),
            leaving: None,
        }
    }

    fn takes_commands(&self) -> bool {
        self.active.is_some() && self.leaving.is_none()
    }
}

/// The session that Elixir has given for a shard.
fn given(gateway: &Gateway, shard: u32) -> Option<Resumable> {
    let session = gateway.sessions.iter().find(|given| given.shard == shard)?;
    Some(Resumable {
        id: session.id.clone(),
        sequence: session.sequence,
        url: session.resume_url.clone().filter(|url| is_websocket(url)),
        elsewhere: false,
    })
}

/// A [`Closed`] without a close code.
fn closed(reason: impl Into<String>) -> Closed {
    Closed {
        code: None,
        reason: reason.into(),
    }
}
