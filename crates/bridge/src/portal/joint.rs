//! A portal: its room, joined to its guild's voice session while there is one.

use super::facts;
use super::hearing::Hearing;
use super::settings::settings;
use super::showing::Showing;
use super::still::Still;
use crate::panics;
use crate::sender::FrameSender;
use crate::voice::{Calls, InCall};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use uro_discord_net::{Backoff, Pauses};
use uro_discord_portal::{
    DiscordMember, Happened, Options, Packet, Participant, PeerId, Portal, PortalEvent, Portals,
    Sequence, Setting, Source, Status,
};
use uro_discord_voice::Received;
use uro_discord_wire::{
    self as wire, FromBridge, Panicked, PeerJoined, PeerLeft, PortalOnAir, PortalState, Snowflake,
};

/// How often Elixir hears how a portal does.
const STATS: Duration = Duration::from_secs(5);

/// Between the rooms of a portal that break.
const PAUSES: Pauses = Pauses {
    at_once: true,
    first: Duration::from_secs(1),
    longest: Duration::from_secs(120),
};

/// What is wanted of a portal: `None` is to close.
pub type Order = Option<Arc<wire::Portal>>;

/// Keeps a portal.
pub struct Joint {
    pub id: String,
    pub portals: Portals,
    pub orders: watch::Receiver<Order>,
    pub calls: Calls,
    pub sender: FrameSender,
}

/// What a room has of the call.
#[derive(Default)]
struct Ends {
    hearing: Hearing,
    showing: Showing,
}

/// Why a room is over.
enum Over {
    /// It is not wanted any more.
    Ordered,
    /// The bridge ends.
    Bridge,
    /// Its panic, or a fault of this.
    Panicked,
    /// There is no endpoint any more, or no place for it.
    Stopped(String),
}

impl Joint {
    /// Runs until the portal is not wanted any more, and returns its id.
    pub async fn run(mut self) -> String {
        let mut backoff = Backoff::new(PAUSES);
        loop {
            let Some(order) = self.orders.borrow_and_update().clone() else {
                self.tell(PortalState::Closed);
                break;
            };
            let mut ends = Ends::default();
            backoff.up(Instant::now().into_std());
            let over = panics::caught(self.keep(order, &mut ends)).await;
            ends.hearing.turn_away().await;
            ends.showing.turn_away().await;
            let reason = match over {
                Ok(Over::Ordered) => continue,
                Ok(Over::Bridge) => break,
                Ok(Over::Stopped(reason)) => reason,
                Ok(Over::Panicked) | Err(panics::Panicked) => {
                    let what = Panicked::Portal(self.id.clone());
                    self.say(&FromBridge::Panic(what));
                    "a panic".into()
                }
            };
            let pause = backoff.failed(Instant::now().into_std());
            tracing::warn!(portal = self.id, reason, ?pause, "a portal's room is over");
            if !self.wait(pause).await {
                break;
            }
        }
        self.id
    }

    /// Waits for the time to open the room anew. `false` at the bridge's end.
    async fn wait(&mut self, pause: Duration) -> bool {
        tokio::select! {
            () = sleep(pause) => true,
            closed = self.orders.wait_for(Option::is_none) => closed.is_ok(),
        }
    }

    /// Opens the room, and keeps it.
    async fn keep(&mut self, order: Arc<wire::Portal>, ends: &mut Ends) -> Over {
        let options = options(&order);
        let portal = match self.portals.open(&self.id, options) {
            Ok(portal) => portal,
            Err(error) => return Over::Stopped(error.to_string()),
        };
        self.tell(PortalState::Open);
        #[cfg(test)]
        super::tests::opened(&self.id);
        let mut call = self.calls.follow(order.guild);
        let mut room = Room::new(portal, order, options);
        room.adjust();
        room.still.look_soon();
        self.follow(&mut call, &mut room, ends).await;
        let mut stats = interval_at(Instant::now() + STATS, STATS);
        stats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                happened = room.portal.next() => match happened {
                    Some(Happened::Frame(frame)) => room.dropped += ends.hearing.say(frame),
                    Some(Happened::Event(event)) => self.event(event, &mut room, ends).await,
                    Some(Happened::Panicked) => return Over::Panicked,
                    Some(_) => {}
                    None => return Over::Stopped("its media loop has ended".into()),
                },
                received = ends.hearing.next() => room.heard(received),
                picture = ends.showing.next() => ends.showing.show(picture, &room.portal),
                Ok(()) = call.changed() => self.follow(&mut call, &mut room, ends).await,
                changed = self.orders.changed() => {
                    if changed.is_err() {
                        return Over::Bridge;
                    }
                    let Some(other) = self.orders.borrow_and_update().clone() else {
                        return Over::Ordered;
                    };
                    let moved = other.guild != room.order.guild;
                    if other.still != room.order.still {
                        room.still.look_soon();
                    }
                    room.order = other;
                    room.adjust();
                    if moved {
                        call = self.calls.follow(room.order.guild);
                    }
                    self.follow(&mut call, &mut room, ends).await;
                }
                _ = stats.tick() => if let Some(status) = room.status().await {
                    ends.showing.look().await;
                    let video = ends.showing.stats(&status).await;
                    let mut stats = facts::stats(status, room.dropped, &room.peers);
                    stats.discord_video = video;
                    self.offer(&self.fact(PortalState::Stats(stats)));
                },
                () = room.still.due() => {
                    let Room { still, portal, order, .. } = &mut room;
                    let audience = self.sender.audience();
                    if let Some(picture) = still.look(portal, order.still, audience).await {
                        let portal = self.id.as_str().into();
                        let message = FromBridge::Still { portal, picture: (&*picture).into() };
                        if self.offer(&message) {
                            still.told(picture, audience);
                        } else {
                            still.look_soon();
                        }
                    }
                },
            }
        }
    }

    /// Sees who is in the call, and whether it is another one.
    async fn follow(&self, call: &mut watch::Receiver<InCall>, room: &mut Room, ends: &mut Ends) {
        let call = call.borrow_and_update().clone();
        room.meet(&call);
        room.call_hears(call.live.is_some() && !call.users.is_empty());
        ends.showing.turn_to(&call, &room.portal).await;
        ends.hearing.turn_to(call.live).await;
    }

    async fn event(&self, event: PortalEvent, room: &mut Room, ends: &mut Ends) {
        match event {
            PortalEvent::PeerJoined {
                peer,
                name,
                role,
                subject,
                kind,
                world,
            } => {
                let joined = PeerJoined {
                    peer: peer.0,
                    name,
                    role: role.to_string(),
                    subject,
                    kind: kind.to_string(),
                    world,
                };
                room.peers.insert(peer, joined.clone());
                self.tell(PortalState::PeerJoined(joined));
                room.set();
            }
            PortalEvent::PeerLeft { peer, reason } => {
                room.gone(peer);
                self.tell(PortalState::PeerLeft(PeerLeft {
                    peer: peer.0,
                    reason: reason.to_string(),
                }));
            }
            PortalEvent::Speaking {
                participant,
                speaking,
            } => {
                let name = room.name(participant).await;
                let speaker = facts::speaker(participant, name, &room.peers);
                self.offer(&self.fact(if speaking {
                    PortalState::Speaking(speaker)
                } else {
                    PortalState::Silent(speaker)
                }));
            }
            PortalEvent::OnAir { peer } => {
                self.tell(PortalState::OnAir(PortalOnAir {
                    peer: peer.map(|peer| peer.0),
                }));
                room.still.look_soon();
                if peer.is_none() {
                    ends.showing.dark().await;
                }
            }
            // For peers.
            _ => {}
        }
    }

    /// Tells Elixir what it has to know, of which there is little. Voice does not wait until it reads.
    fn tell(&self, state: PortalState) {
        self.say(&self.fact(state));
    }

    fn fact(&self, state: PortalState) -> FromBridge<'_> {
        FromBridge::Portal {
            id: self.id.as_str().into(),
            state,
        }
    }

    /// Tells Elixir, if it reads: what comes next has all that matters then. Whether it was told.
    fn offer(&self, message: &FromBridge<'_>) -> bool {
        self.sender.offer(message).unwrap_or_else(|error| {
            tracing::error!(%error, "a message cannot be carried to Elixir");
            // Nor could it be another time.
            true
        })
    }

    fn say(&self, message: &FromBridge<'_>) {
        if let Err(error) = self.sender.send_now(message) {
            tracing::error!(%error, "a message cannot be carried to Elixir");
        }
    }
}

fn options(order: &wire::Portal) -> Options {
    Options {
        listen_to_bots: order.bots,
    }
}

/// An open room, and what it was told.
struct Room {
    portal: Portal,
    order: Arc<wire::Portal>,
    options: Options,
    peers: BTreeMap<PeerId, PeerJoined>,
    /// Players whom peers forward, as far as they were asked for.
    names: BTreeMap<Source, String>,
    users: BTreeMap<u64, DiscordMember>,
    /// Whether anybody in the call hears it, as the room was told; it takes that for granted.
    call_hears: bool,
    settings: BTreeMap<Participant, Setting>,
    /// Whose camera is on air, as the room was told.
    camera: Option<String>,
    still: Still,
    /// Of how many seconds clips may be wanted, as the room was told.
    clips: Option<NonZeroU32>,
    /// Whose publishing is ended, as the room was told.
    stopped: BTreeMap<String, u64>,
    /// Frames for Discord that found no way there.
    dropped: u64,
}

impl Room {
    fn new(portal: Portal, order: Arc<wire::Portal>, options: Options) -> Self {
        Self {
            portal,
            order,
            options,
            peers: BTreeMap::new(),
            names: BTreeMap::new(),
            users: BTreeMap::new(),
            call_hears: true,
            settings: BTreeMap::new(),
            camera: None,
            still: Still::default(),
            clips: None,
            stopped: BTreeMap::new(),
            dropped: 0,
        }
    }

    /// Has the room as it is ordered.
    fn adjust(&mut self) {
        let options = options(&self.order);
        if self.options != options {
            self.options = options;
            self.portal.options(options);
        }
        if self.camera != self.order.camera {
            self.camera.clone_from(&self.order.camera);
            self.portal.camera(self.camera.clone());
        }
        if self.clips != self.order.clips {
            self.clips = self.order.clips;
            let longest = self.clips.map(|seconds| u64::from(seconds.get()));
            self.portal.clips(longest.map(Duration::from_secs));
        }
        if self.stopped != self.order.stopped {
            self.stopped.clone_from(&self.order.stopped);
            self.portal.stopped(&self.stopped);
        }
        self.set();
    }

    /// Tells what has changed of how loud everybody is.
    fn set(&mut self) {
        let peers = self.peers.iter();
        let peers = peers.map(|(id, peer)| (*id, peer.subject.as_str()));
        let wanted = settings(&self.order.settings, peers);
        for participant in self.settings.keys() {
            if !wanted.contains_key(participant) {
                self.portal.set(*participant, Setting::default());
            }
        }
        for (participant, setting) in &wanted {
            if self.settings.get(participant) != Some(setting) {
                self.portal.set(*participant, *setting);
            }
        }
        self.settings = wanted;
    }

    /// Tells who has come to the call, who has gone, and who is called otherwise.
    fn meet(&mut self, call: &InCall) {
        let users = call.users.iter().map(|user| (*user, self.member(*user)));
        let users: BTreeMap<_, _> = users.collect();
        for user in self.users.keys() {
            if !users.contains_key(user) {
                self.portal.discord_left(*user);
            }
        }
        for (user, member) in &users {
            if self.users.get(user) != Some(member) {
                self.portal.discord_joined(*user, member.clone());
            }
        }
        self.users = users;
    }

    /// While nobody hears it, nothing is encoded for the call.
    fn call_hears(&mut self, hears: bool) {
        if std::mem::replace(&mut self.call_hears, hears) != hears {
            self.portal.call_hears(hears);
        }
    }

    fn member(&self, user: u64) -> DiscordMember {
        let id = Snowflake::new(user);
        let name = id.and_then(|id| self.order.names.get(&id));
        DiscordMember {
            name: name.cloned().unwrap_or_else(|| user.to_string()),
            bot: id.is_some_and(|id| self.order.bot_users.contains(&id)),
        }
    }

    fn heard(&self, received: Received) {
        let packet = Packet {
            sequence: Sequence::Rtp(received.sequence),
            time: Some(received.rtp_time),
            payload: received.frame,
        };
        self.portal.from_discord(received.user_id, packet);
    }

    fn gone(&mut self, peer: PeerId) {
        self.peers.remove(&peer);
        self.names.retain(|source, _| source.peer != peer);
        self.set();
    }

    async fn status(&mut self) -> Option<Status> {
        let status = self.portal.status().await?;
        let names = status.participants.iter();
        self.names = names
            .filter_map(|health| match health.participant {
                Participant::World(source) => Some((source, health.name.clone())),
                Participant::Discord(_) => None,
            })
            .collect();
        Some(status)
    }

    async fn name(&mut self, participant: Participant) -> String {
        let source = match participant {
            Participant::Discord(user) => return self.member(user).name,
            Participant::World(source) => source,
        };
        if source.sender == 0
            && let Some(peer) = self.peers.get(&source.peer)
        {
            return peer.name.clone();
        }
        if !self.names.contains_key(&source) {
            self.status().await;
        }
        self.names.get(&source).cloned().unwrap_or_default()
    }
}
