//! The bridge as a whole: its tasks, and what Elixir says to it.

use crate::desired::Desired;
use crate::events::Events;
use crate::fault::Fault;
use crate::gateway;
use crate::http::{self, Exchange};
use crate::media::Media;
use crate::portal::{self, Clips, Served};
use crate::sender::FrameSender;
use crate::transport::Transport;
use crate::voice::{self, ActiveSession, Address, Addressed, Calls, DesiredVoiceStates};
use bytes::{Buf as _, BytesMut};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use uro_discord_wire::frame::{self, AppendError};
use uro_discord_wire::{Bridge, FromBridge, Http, ToBridge, VERSION, etf, understood};

/// What the gateway says about voice, waiting for the sessions. They take it at once.
const VOICE_UPDATES: usize = 8 * 1024;

/// How long the end may take: an orphan must be gone within a second.
const FAREWELL: Duration = Duration::from_millis(700);

/// How long the last messages may take.
const FLUSH: Duration = Duration::from_millis(100);

/// Of what a newer library says, and is not known here, so many kinds are told in the log.
const UNKNOWN: usize = 8;

/// How often it is asked whether calls and portals may be held for longer, and how many such questions are remembered.
const RENEW: Duration = Duration::from_millis(500);
const RENEWALS: usize = 256;

/// The first version of the library that answers that.
const HOLDS: u32 = 5;

/// How much one read may bring: what a pipe holds on Linux.
const READ: usize = 64 * 1024;

/// Runs until Elixir says stop, closes the transport or no longer reads, or until something is wrong, which the log then has. What
/// is in `sender` is written first, but for a hello. Not to be cancelled: the gateway would not be left so that it can be resumed.
///
/// # Errors
///
/// Any [`Fault`] but [`Fault::NotAPort`].
pub async fn run(transport: Transport, sender: FrameSender, media: Media) -> Result<(), Fault> {
    run_in_window(transport, sender, media, gateway::WINDOW).await
}

/// [`run`] for a Discord that counts commands in another time, so that a test need not take Discord's.
///
/// # Errors
///
/// As [`run`].
#[doc(hidden)]
pub async fn run_in_window(
    transport: Transport,
    sender: FrameSender,
    media: Media,
    window: Duration,
) -> Result<(), Fault> {
    // Before there is a writer, so that it is the first of all.
    sender.send_now(&hello())?;
    let mut writer = JoinSet::new();
    writer.spawn(sender.clone().write_to(transport.output));
    let result = async {
        let mut core = Core::start(&sender, &media, window)?;
        let input = (transport.input, transport.closed);
        let result = core.hear(input, &mut writer, None).await.flatten();
        core.end().await.and(result)
    };
    let result = result.await;
    if let Err(fault) = &result {
        fault.report();
    }
    sender.finish();
    match timeout(FLUSH, writer.join_next()).await {
        Ok(Some(ended)) => result.and(written(ended)),
        // It had ended before, which is the result; or nobody reads.
        Ok(None) | Err(_) => result,
    }
}

fn hello() -> FromBridge<'static> {
    FromBridge::Hello {
        version: VERSION,
        bridge: Bridge {
            bridge: env!("CARGO_PKG_VERSION").into(),
            os_pid: std::process::id(),
            knows: vec!["clip".into()],
        },
    }
}

/// All that the bridge does, and who says what that is.
pub struct Core {
    owner: Owner,
    tasks: Tasks,
    /// How many connections there are to the gateway.
    connections: watch::Receiver<usize>,
}

/// None ends before there is no owner any more.
struct Tasks {
    forward: JoinSet<()>,
    relay: JoinSet<Result<(), AppendError>>,
    calls: JoinSet<Result<(), JoinError>>,
    gateway: JoinSet<Result<(), JoinError>>,
    listener: JoinSet<Result<(), Fault>>,
    portals: JoinSet<Result<(), AppendError>>,
}

impl Core {
    /// Begins with nothing to do.
    pub fn start(sender: &FrameSender, media: &Media, window: Duration) -> Result<Self, Fault> {
        let events = Events::new(sender.clone());
        let (desired, wanted) = watch::channel(Desired::default());
        let mut forward = JoinSet::new();
        forward.spawn(events.clone().forward());
        let states = DesiredVoiceStates::new();
        let (updates, updated) = mpsc::channel(VOICE_UPDATES);
        let (served, serves) = watch::channel(Served::default());
        let clips = Clips::new(sender.clone(), media.clone(), serves.clone());
        let in_calls = Calls::default();
        let mut portals = JoinSet::new();
        portals.spawn(portal::run(
            wanted.clone(),
            portal::Surroundings {
                sender: sender.clone(),
                media: media.clone(),
                calls: in_calls.clone(),
                served,
            },
        ));
        let mut relay = JoinSet::new();
        relay.spawn(voice::relay::tell(
            wanted.clone(),
            states.clone(),
            sender.clone(),
        ));
        let mut calls = JoinSet::new();
        let media = media.clone();
        calls.spawn(voice::run(
            wanted.clone(),
            updated,
            voice::Surroundings {
                sender: sender.clone(),
                states: states.clone(),
                calls: in_calls,
                begin: Arc::new(move |info, scheme, order| {
                    ActiveSession::begin(&media, info, scheme, order)
                }),
            },
        ));
        let (http, wanted_http) = watch::channel(None);
        let exchange = Exchange::new(sender.clone());
        let ended = http::spawn(
            wanted_http,
            sender.clone(),
            http::Serving {
                exchange: exchange.clone(),
                portals: serves,
                wanted: wanted.clone(),
            },
        )?;
        let mut listener = JoinSet::new();
        listener.spawn(async { ended.await.unwrap_or(Err(Fault::Panic)) });
        let mut gateway = JoinSet::new();
        let voice = gateway::Voice {
            desired: states,
            updates: updates.clone(),
        };
        let (open, connections) = watch::channel(0);
        gateway.spawn(gateway::run(gateway::Surroundings {
            wanted,
            sender: sender.clone(),
            events: events.clone(),
            voice,
            connections: Arc::new(open),
            window,
        }));
        Ok(Self {
            owner: Owner {
                sender: sender.clone(),
                events,
                desired,
                http,
                exchange,
                clips,
                updates,
            },
            tasks: Tasks {
                forward,
                relay,
                calls,
                gateway,
                listener,
                portals,
            },
            connections,
        })
    }

    /// Does what Elixir says until it has nothing more to say. `keep`: how long it may take until it has spoken of what was desired before.
    ///
    /// # Errors
    ///
    /// What was wrong with Elixir; outside of that, what was wrong here.
    async fn hear(
        &mut self,
        (input, closed): (impl AsyncRead + Unpin, watch::Receiver<bool>),
        writer: &mut JoinSet<io::Result<()>>,
        keep: Option<Duration>,
    ) -> Result<Result<(), Fault>, Fault> {
        tokio::select! {
            result = self.owner.run(input, &closed, keep) => Ok(result),
            Some(ended) = writer.join_next() => Ok(written(ended)),
            result = self.tasks.ended() => result.map(Ok),
        }
    }

    /// Serves one Uro of several, each of which follows the one before: what is desired, and what of it is there, stays for the next one. Only the gateway is left.
    ///
    /// # Errors
    ///
    /// As [`Core::hear`].
    pub async fn serve(
        &mut self,
        transport: Transport,
        keep: Duration,
    ) -> Result<Result<(), Fault>, Fault> {
        let owner = &self.owner;
        owner.sender.attach(&hello())?;
        owner.desired.send_modify(Desired::attached);
        let mut writer = JoinSet::new();
        writer.spawn(owner.sender.clone().write_to(transport.output));
        let input = (transport.input, transport.closed);
        let result = self.hear(input, &mut writer, Some(keep)).await;

        let owner = &self.owner;
        owner.desired.send_modify(Desired::let_go);
        owner.exchange.reset();
        let goodbye = async {
            // Whoever asked for the end may have the gateway then. It closes by itself in less.
            let closed = self.connections.wait_for(|open| *open == 0);
            if timeout(FAREWELL, closed).await.is_err() {
                tracing::warn!("not all connections could be closed in time");
            }
            owner.sender.finish();
            // It had ended before; or nobody reads.
            let _ = timeout(FLUSH, writer.join_next()).await;
        };
        tokio::select! {
            () = goodbye => {}
            never = owner.lapses_in_time() => match never {},
        }
        writer.shutdown().await;
        owner.sender.detach();
        owner.events.reset();
        result
    }

    /// Waits for what never ends by itself. When calls and portals may not be held any longer they are ended meanwhile.
    ///
    /// # Errors
    ///
    /// Why it did.
    pub async fn ended(&mut self) -> Result<(), Fault> {
        tokio::select! {
            biased;
            never = self.owner.lapses_in_time() => match never {},
            result = self.tasks.ended() => result,
        }
    }

    /// Whether there is something that would be kept for the next one.
    pub fn is_busy(&self) -> bool {
        self.owner.desired.borrow().is_something()
    }

    /// Ends all that was kept.
    pub fn give_up(&self) {
        self.owner.desired.send_modify(Desired::nothing);
        self.owner.serve_http();
    }

    /// Closes everything.
    ///
    /// # Errors
    ///
    /// When something panicked meanwhile.
    pub async fn end(self) -> Result<(), Fault> {
        let Self {
            owner, mut tasks, ..
        } = self;
        // With the owner the desired state is gone: the gateway closes its connections and ends, answers that are there already go out,
        // and portals' peers are told.
        drop(owner);
        let ends = async {
            tokio::join!(
                tasks.gateway.join_next(),
                tasks.listener.join_next(),
                tasks.portals.join_next()
            )
        };
        match timeout(FAREWELL, ends).await {
            Ok((Some(Err(error) | Ok(Err(error))), ..)) => Err(panicked(error)),
            Ok(_) => Ok(()),
            Err(_) => {
                tracing::warn!("not all connections could be closed in time");
                Ok(())
            }
        }
    }
}

impl Tasks {
    async fn ended(&mut self) -> Result<(), Fault> {
        tokio::select! {
            Some(ended) = self.forward.join_next() => ended.map_err(panicked),
            Some(ended) = self.relay.join_next() => ended.map_err(panicked)?.map_err(Fault::from),
            Some(ended) = self.calls.join_next() => ended.flatten().map_err(panicked),
            Some(ended) = self.gateway.join_next() => ended.flatten().map_err(panicked),
            Some(ended) = self.listener.join_next() => ended.map_err(panicked).flatten(),
            Some(ended) = self.portals.join_next() => ended.map_err(panicked)?.map_err(Fault::from),
            else => pending().await,
        }
    }
}

fn written(ended: Result<io::Result<()>, JoinError>) -> Result<(), Fault> {
    ended.map_err(panicked)?.map_err(Fault::Io)
}

/// Nobody cancels a task while it is waited for, so it has panicked.
fn panicked(_: JoinError) -> Fault {
    Fault::Panic
}

/// Does what Elixir says.
struct Owner {
    sender: FrameSender,
    events: Events,
    desired: watch::Sender<Desired>,
    http: watch::Sender<Option<Arc<Http>>>,
    exchange: Exchange,
    clips: Clips,
    /// What other bridges hear for the calls here.
    updates: mpsc::Sender<Addressed>,
}

impl Owner {
    async fn run(
        &self,
        mut input: impl AsyncRead + Unpin,
        closed: &watch::Receiver<bool>,
        keep: Option<Duration>,
    ) -> Result<(), Fault> {
        let mut greeted = None;
        let mut unknown = Vec::new();
        let mut buffer = BytesMut::with_capacity(READ);
        let mut keeps = keep.is_some();
        let mut kept = pin!(sleep(keep.unwrap_or_default()));
        let mut renew = interval_at(Instant::now() + RENEW, RENEW);
        renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut renewals = Renewals::default();
        loop {
            let read = tokio::select! {
                // Before what comes late is heard.
                biased;
                () = self.lapsed() => return Err(Fault::Lapsed),
                _ = renew.tick(), if greeted.is_some_and(|version| version >= HOLDS) => {
                    let number = renewals.ask(Instant::now());
                    // However much waits. Without an answer there are few: it is over then.
                    self.sender.send_now(&FromBridge::Renew(number))?;
                    continue;
                }
                read = input.read_buf(&mut buffer) => read?,
                () = &mut kept, if keeps => {
                    keeps = false;
                    self.desired.send_modify(Desired::give_up_kept);
                    self.serve_http();
                    continue;
                }
            };
            if read == 0 {
                break;
            }
            let mut read = 0;
            while let Some(content) = frame::first(&buffer[read..])? {
                match (ToBridge::decode(content), greeted) {
                    (
                        Ok(ToBridge::Hold {
                            number,
                            milliseconds,
                        }),
                        Some(_),
                    ) => {
                        if let Some(asked) = renewals.answered(number) {
                            let held = asked + Duration::from_millis(milliseconds.into());
                            // Nobody else goes by it.
                            self.desired.send_if_modified(|desired| {
                                desired.held = Some(held);
                                false
                            });
                        }
                    }
                    (Ok(message), Some(_)) => {
                        if !self.hear(message, closed).await? {
                            return Ok(());
                        }
                    }
                    (Ok(message), None) => greeted = Some(greet(&message)?),
                    (Err(etf::Error::Message(name, _)), Some(version)) if version > VERSION => {
                        pass_over(name, &mut unknown);
                    }
                    (Err(error), _) => return Err(error.into()),
                }
                read += frame::PREFIX + content.len();
            }
            buffer.advance(read);
            buffer.reserve(READ);
        }
        match buffer.len() {
            0 => Ok(()),
            left => Err(Fault::CutShort(left)),
        }
    }

    /// Does what one message says. `false` when Elixir went away meanwhile.
    async fn hear(
        &self,
        message: ToBridge<'_>,
        closed: &watch::Receiver<bool>,
    ) -> Result<bool, Fault> {
        match message {
            ToBridge::Hello { .. } => Err(Fault::Hello),
            // It is heard where the renewals are.
            ToBridge::Hold { .. } => Ok(true),
            ToBridge::Ping(term) => self.say(&FromBridge::Pong(term), closed).await,
            ToBridge::Stop => Ok(false),
            ToBridge::Credit(more) => {
                self.events.grant(more);
                Ok(true)
            }
            ToBridge::Lease(milliseconds) => {
                self.desired
                    .send_modify(|desired| desired.lease(milliseconds));
                Ok(true)
            }
            ToBridge::VoiceUpdate { guild, update } => {
                let to = Address::Guild(guild);
                let update = update.into();
                if self.updates.try_send(Addressed { to, update }).is_err() {
                    tracing::error!(%guild, "a voice session does not take what another bridge's gateway says");
                }
                Ok(true)
            }
            ToBridge::Identify(shard) => {
                self.desired.send_modify(|desired| desired.identify(shard));
                Ok(true)
            }
            ToBridge::Clip { id, portal, length } => {
                let length = Duration::from_millis(length.into());
                self.clips.make(id, portal, length);
                Ok(true)
            }
            ToBridge::Read { id, verdict } => {
                self.exchange.read(id, verdict);
                Ok(true)
            }
            ToBridge::Answer { id, answer } => {
                self.exchange.answer(id, answer);
                Ok(true)
            }
            ToBridge::Desired(parts) => {
                let (mut refused, mut spoken_of) = (Vec::new(), Vec::new());
                self.desired.send_modify(|desired| {
                    for (part, value) in parts {
                        match desired.take(&part, value) {
                            Ok(kept) => spoken_of.extend(kept),
                            Err(reason) => refused.push((part, reason)),
                        }
                    }
                });
                self.serve_http();
                for subject in spoken_of {
                    self.sender.tell_anew(&subject)?;
                }
                for (part, reason) in refused {
                    tracing::warn!(part, reason, "refused a part of the desired state");
                    let part = part.into();
                    let reason = reason.into();
                    let refused = FromBridge::Refused { part, reason };
                    if !self.say(&refused, closed).await? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Waits until calls and portals may not be held any longer, and ends them: nobody waits any more to tell Elixir something, which might have kept a call from
    /// hearing that it has ended. Elixir does not read, or is not heard. Never, while nothing was said of that.
    async fn lapsed(&self) {
        let held = self.desired.borrow().held;
        match held {
            Some(held) => sleep_until(held).await,
            None => pending().await,
        }
        self.sender.detach();
        self.desired.send_modify(Desired::lapse);
    }

    /// The same while nobody is served, or nobody any more.
    async fn lapses_in_time(&self) -> Infallible {
        self.lapsed().await;
        tracing::warn!(
            "no Uro came in the time for which calls and portals could be held: they are closed"
        );
        pending().await
    }

    /// Has the listener that is desired.
    fn serve_http(&self) {
        let http = self.desired.borrow().http.clone();
        self.http.send_if_modified(|wanted| {
            let other = *wanted != http;
            *wanted = http;
            other
        });
    }

    /// Sends, and while there is no room, reads nothing more from Elixir. `false` when Elixir went away meanwhile.
    async fn say(
        &self,
        message: &FromBridge<'_>,
        is_closed: &watch::Receiver<bool>,
    ) -> Result<bool, Fault> {
        tokio::select! {
            biased;
            sent = self.sender.send(message) => {
                sent?;
                Ok(true)
            }
            () = closed(is_closed.clone()) => Ok(false),
            // What would allow more waits behind this.
            () = self.lapsed() => Err(Fault::Lapsed),
        }
    }
}

/// When it was asked whether calls and portals may be held for longer. What is allowed counts from then: Elixir heard the question later, so that by its clock
/// it is over no sooner than by ours, however long the answer was on its way.
#[derive(Default)]
struct Renewals {
    next: u64,
    asked: VecDeque<(u64, Instant)>,
}

impl Renewals {
    fn ask(&mut self, now: Instant) -> u64 {
        if self.asked.len() == RENEWALS {
            self.asked.pop_front();
        }
        self.next += 1;
        self.asked.push_back((self.next, now));
        self.next
    }

    /// When that was asked. The answer may come again, to the last one.
    fn answered(&mut self, number: u64) -> Option<Instant> {
        self.asked.retain(|(asked, _)| *asked >= number);
        let (asked, at) = self.asked.front()?;
        (*asked == number).then_some(*at)
    }
}

/// Waits until the other side has closed, or nobody is left who would see it.
async fn closed(mut closed: watch::Receiver<bool>) {
    let _ = closed.wait_for(|closed| *closed).await;
}

/// The version of the library that greets.
fn greet(message: &ToBridge<'_>) -> Result<u32, Fault> {
    match message {
        ToBridge::Hello { version, library } if understood(*version) => {
            tracing::debug!(library = library.library, version, "hello");
            Ok(*version)
        }
        ToBridge::Hello { version, .. } => Err(Fault::Version(*version)),
        _ => Err(Fault::Hello),
    }
}

/// Says once of each name that a newer library has said what only that knows.
fn pass_over(name: String, unknown: &mut Vec<String>) {
    if unknown.len() < UNKNOWN && !unknown.contains(&name) {
        tracing::info!(name, "UroDiscord said what only its version knows");
        unknown.push(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allowed_counts_from_when_it_was_asked_however_late_the_answer_is() {
        let mut renewals = Renewals::default();
        let begin = Instant::now();
        let asked = |number: u64| begin + RENEW * u32::try_from(number).unwrap_or_default();
        for number in 1..=3 {
            assert_eq!(renewals.ask(asked(number)), number);
        }
        assert_eq!(renewals.answered(2), Some(asked(2)));
        // It may be said again, for longer; what was asked before counts no more.
        assert_eq!(renewals.answered(2), Some(asked(2)));
        assert_eq!(renewals.answered(1), None);
        assert_eq!(renewals.answered(3), Some(asked(3)));
        assert_eq!(renewals.answered(4), None);
        // Many without an answer are no more than so many.
        for number in 4..1_000 {
            renewals.ask(asked(number));
        }
        assert_eq!(renewals.asked.len(), RENEWALS);
    }
}
