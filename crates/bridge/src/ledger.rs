//! What Elixir was told and what still holds, so that a Uro that comes after another can be told it anew, though nothing has happened.
//!
//! A machine without sockets: it is shown each message on its way, and answers with messages. What happened once (a panic, an event, a file that
//! was played) is not told again, nor what comes by itself every few seconds. Of the gateway it knows nothing: that is closed with each session of
//! Uro, and what becomes of it under the next one is told as it happens.

use std::collections::{BTreeMap, BTreeSet};
use uro_discord_wire::{
    Encryption, FromBridge, HttpState, MediaState, PeerJoined, PortalOnAir, PortalSpeaker,
    PortalState, Snowflake, Suppressed, User, VoiceState,
};

/// What something may be told of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Subject {
    Http,
    Media,
    /// A guild's voice session.
    Call(Snowflake),
    /// A portal, by its id.
    Portal(String),
}

/// All of it.
#[derive(Debug, Default)]
pub struct Ledger {
    http: Option<HttpState>,
    media: Option<MediaState>,
    calls: BTreeMap<Snowflake, Call>,
    portals: BTreeMap<String, Room>,
}

/// A guild's voice session.
#[derive(Debug)]
struct Call {
    /// What became of it last.
    state: VoiceState,
    /// A trouble of a session that goes on: it is resumed, or waits for another server.
    trouble: Option<VoiceState>,
    suppressed: Option<Suppressed>,
    users: BTreeSet<Snowflake>,
    speaking: BTreeSet<Snowflake>,
    encryption: Option<Encryption>,
}

impl Call {
    fn new(state: VoiceState) -> Self {
        Self {
            state,
            trouble: None,
            suppressed: None,
            users: BTreeSet::new(),
            speaking: BTreeSet::new(),
            encryption: None,
        }
    }
}

/// A portal that is open.
#[derive(Debug, Default)]
struct Room {
    peers: BTreeMap<u32, PeerJoined>,
    /// Who speaks, by his id and his peer: two peers with tokens for one person have one id.
    speaking: BTreeMap<(String, Option<u32>), PortalSpeaker>,
    on_air: Option<PortalOnAir>,
}

impl Ledger {
    /// This is told, or would be if somebody were there.
    pub fn note(&mut self, message: &FromBridge<'_>) {
        match message {
            FromBridge::Http(state) => self.http = Some(state.clone()),
            FromBridge::Media(state) => self.media = Some(state.clone()),
            FromBridge::Voice { guild, state } => self.voice(*guild, state),
            FromBridge::Portal { id, state } => self.portal(id, state),
            _ => {}
        }
    }

    fn voice(&mut self, guild: Snowflake, state: &VoiceState) {
        match state {
            VoiceState::Left => {
                self.calls.remove(&guild);
            }
            VoiceState::Joining(_) | VoiceState::Ended(_) => {
                self.calls.insert(guild, Call::new(state.clone()));
            }
            _ => {}
        }
        // Whatever is said of a session follows that it is joined.
        let Some(call) = self.calls.get_mut(&guild) else {
            return;
        };
        match state {
            VoiceState::Joined(_) => {
                call.state = state.clone();
                call.trouble = None;
            }
            VoiceState::Resuming | VoiceState::Waiting => call.trouble = Some(state.clone()),
            VoiceState::Suppressed(suppressed) => call.suppressed = Some(suppressed.clone()),
            VoiceState::UserJoined(User { user }) => {
                call.users.insert(*user);
            }
            VoiceState::UserLeft(User { user }) => {
                call.users.remove(user);
                call.speaking.remove(user);
            }
            VoiceState::Speaking(User { user }) => {
                call.speaking.insert(*user);
            }
            VoiceState::Silent(User { user }) => {
                call.speaking.remove(user);
            }
            VoiceState::Encryption(encryption) => call.encryption = Some(encryption.clone()),
            _ => {}
        }
    }

    fn portal(&mut self, id: &str, state: &PortalState) {
        match state {
            PortalState::Open => {
                self.portals.insert(id.to_owned(), Room::default());
            }
            PortalState::Closed => {
                self.portals.remove(id);
            }
            _ => {}
        }
        let Some(room) = self.portals.get_mut(id) else {
            return;
        };
        match state {
            PortalState::PeerJoined(peer) => {
                room.peers.insert(peer.peer, peer.clone());
            }
            PortalState::PeerLeft(left) => {
                room.peers.remove(&left.peer);
                room.speaking
                    .retain(|_, speaker| speaker.peer != Some(left.peer));
            }
            PortalState::Speaking(speaker) => {
                let who = (speaker.id.clone(), speaker.peer);
                room.speaking.insert(who, speaker.clone());
            }
            PortalState::Silent(speaker) => {
                room.speaking.remove(&(speaker.id.clone(), speaker.peer));
            }
            PortalState::OnAir(on_air) => room.on_air = Some(*on_air),
            _ => {}
        }
    }

    /// What holds of this, as if it happened now.
    pub fn tell<'a>(&'a self, of: &'a Subject) -> Vec<FromBridge<'a>> {
        match of {
            Subject::Http => self
                .http
                .clone()
                .map(FromBridge::Http)
                .into_iter()
                .collect(),
            Subject::Media => self
                .media
                .clone()
                .map(FromBridge::Media)
                .into_iter()
                .collect(),
            Subject::Call(guild) => {
                let states = self.calls.get(guild).map(Call::tell).into_iter().flatten();
                let guild = *guild;
                states
                    .map(|state| FromBridge::Voice { guild, state })
                    .collect()
            }
            Subject::Portal(id) => {
                let states = self.portals.get(id).map(Room::tell).into_iter().flatten();
                let of_it = |state| FromBridge::Portal {
                    id: id.as_str().into(),
                    state,
                };
                states.map(of_it).collect()
            }
        }
    }
}

impl Call {
    fn tell(&self) -> Vec<VoiceState> {
        let mut states = vec![self.state.clone()];
        let users = self.users.iter().map(|user| User { user: *user });
        states.extend(users.map(VoiceState::UserJoined));
        let speaking = self.speaking.iter().map(|user| User { user: *user });
        states.extend(speaking.map(VoiceState::Speaking));
        states.extend(self.encryption.clone().map(VoiceState::Encryption));
        states.extend(self.suppressed.clone().map(VoiceState::Suppressed));
        states.extend(self.trouble.clone());
        states
    }
}

impl Room {
    fn tell(&self) -> Vec<PortalState> {
        let mut states = vec![PortalState::Open];
        states.extend(self.peers.values().cloned().map(PortalState::PeerJoined));
        states.extend(self.speaking.values().cloned().map(PortalState::Speaking));
        states.extend(self.on_air.map(PortalState::OnAir));
        states
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uro_discord_wire::{Ended, InChannel, PeerLeft, Side};

    fn snowflake(id: u64) -> Snowflake {
        Snowflake::new(id).unwrap()
    }

    fn user(id: u64) -> User {
        User {
            user: snowflake(id),
        }
    }

    fn voice(state: VoiceState) -> FromBridge<'static> {
        let guild = snowflake(1);
        FromBridge::Voice { guild, state }
    }

    fn portal(state: PortalState) -> FromBridge<'static> {
        let id = "lobby".into();
        FromBridge::Portal { id, state }
    }

    fn peer(peer: u32) -> PeerJoined {
        PeerJoined {
            peer,
            name: "Alice".into(),
            role: "peer".into(),
            subject: "alice".into(),
            kind: "peer".into(),
            world: false,
        }
    }

    fn speaker(peer: u32) -> PortalSpeaker {
        PortalSpeaker {
            side: Side::World,
            id: format!("world:{peer}"),
            peer: Some(peer),
            name: "Alice".into(),
        }
    }

    #[test]
    fn a_call_is_told_as_it_is_and_not_as_it_came_to_be() {
        let channel = InChannel {
            channel: snowflake(2),
        };
        let (mut ledger, of) = (Ledger::default(), Subject::Call(snowflake(1)));
        for state in [
            VoiceState::Joining(channel.clone()),
            VoiceState::Joined(channel.clone()),
            VoiceState::UserJoined(user(3)),
            VoiceState::UserJoined(user(4)),
            VoiceState::Speaking(user(3)),
            VoiceState::Speaking(user(4)),
            VoiceState::UserLeft(user(4)),
            VoiceState::Resuming,
            VoiceState::Joined(channel.clone()),
        ] {
            ledger.note(&voice(state));
        }
        let now = [
            VoiceState::Joined(channel),
            VoiceState::UserJoined(user(3)),
            VoiceState::Speaking(user(3)),
        ];
        assert_eq!(ledger.tell(&of), now.map(voice));
        let ended = VoiceState::Ended(Ended {
            reason: "moved".into(),
            retry_ms: None,
        });
        ledger.note(&voice(ended.clone()));
        assert_eq!(ledger.tell(&of), [voice(ended)]);
        ledger.note(&voice(VoiceState::Left));
        assert_eq!(ledger.tell(&of), []);
    }

    #[test]
    fn a_portal_is_told_with_who_is_there() {
        let (mut ledger, of) = (Ledger::default(), Subject::Portal("lobby".into()));
        // Before it is open, and after it was closed, there is nothing.
        ledger.note(&portal(PortalState::PeerJoined(peer(1))));
        assert_eq!(ledger.tell(&of), []);
        for state in [
            PortalState::Open,
            PortalState::PeerJoined(peer(1)),
            PortalState::PeerJoined(peer(2)),
            PortalState::Speaking(speaker(1)),
            PortalState::Speaking(speaker(2)),
            PortalState::PeerLeft(PeerLeft {
                peer: 2,
                reason: "gone".into(),
            }),
        ] {
            ledger.note(&portal(state));
        }
        let now = [
            PortalState::Open,
            PortalState::PeerJoined(peer(1)),
            PortalState::Speaking(speaker(1)),
        ];
        assert_eq!(ledger.tell(&of), now.map(portal));
        ledger.note(&portal(PortalState::Open));
        assert_eq!(ledger.tell(&of), [portal(PortalState::Open)]);
        // Two peers of one person: what one ends the other does not.
        let of_one = |peer| PortalSpeaker {
            id: "world:alice".into(),
            ..speaker(peer)
        };
        for state in [
            PortalState::Speaking(of_one(1)),
            PortalState::Speaking(of_one(2)),
            PortalState::Silent(of_one(1)),
        ] {
            ledger.note(&portal(state));
        }
        let now = [PortalState::Open, PortalState::Speaking(of_one(2))];
        assert_eq!(ledger.tell(&of), now.map(portal));
        ledger.note(&portal(PortalState::Closed));
        assert_eq!(ledger.tell(&of), []);
    }
}
