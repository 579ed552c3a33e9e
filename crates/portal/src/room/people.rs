//! Who is there, and what is asked of them.

use std::time::Instant;

use super::speaker::Speaker;
use super::types::{MAX_GAIN, MAX_NAME};
use super::{
    DISCORD, DiscordMember, Event, JoinError, Listens, MAX_PEERS, MAX_SENDERS, MAX_SETTINGS,
    MAX_SPEAKERS, Member, Options, Output, Participant, Peer, PeerId, Room, Setting, Sink, Source,
};

impl Room {
    /// A peer comes.
    ///
    /// # Errors
    ///
    /// See [`JoinError`].
    pub fn join(
        &mut self,
        _now: Instant,
        peer: PeerId,
        mut member: Member,
    ) -> Result<(), JoinError> {
        match member.listens {
            Listens::Nothing => {}
            Listens::Mix(format) | Listens::Each(format) => format.check()?,
        }
        if let Some(format) = member.speaks {
            format.check()?;
        }
        if self.peers.contains_key(&peer) {
            return Err(JoinError::Taken(peer));
        }
        if self.peers.len() >= MAX_PEERS {
            return Err(JoinError::Full);
        }
        member.name = short(member.name);
        match member.listens {
            Listens::Nothing => {}
            Listens::Mix(format) => {
                self.mixes
                    .entry(format)
                    .or_insert_with(|| Sink::new(format));
            }
            Listens::Each(format) => self.each.entry(format).or_default().push(peer),
        }
        self.peers.insert(
            peer,
            Peer {
                member,
                names: std::collections::BTreeMap::new(),
                sequence: 0,
                own: None,
            },
        );
        Ok(())
    }

    /// A peer goes, with those whom it forwards.
    pub fn leave(&mut self, _now: Instant, peer: PeerId) {
        let Some(gone) = self.peers.remove(&peer) else {
            return;
        };
        let listens = |other: &Peer| other.member.listens == gone.member.listens;
        match gone.member.listens {
            Listens::Nothing => {}
            Listens::Mix(format) => {
                if !self.peers.values().any(listens) {
                    self.mixes.remove(&format);
                }
            }
            Listens::Each(format) => {
                if let Some(peers) = self.each.get_mut(&format) {
                    peers.retain(|other| *other != peer);
                    if peers.is_empty() {
                        self.each.remove(&format);
                    }
                }
            }
        }
        for participant in self.of_peer(peer) {
            self.silence(participant);
        }
        self.settings
            .retain(|who, _| !matches!(who, Participant::World(source) if source.peer == peer));
    }

    /// The streams of a peer.
    pub(super) fn of_peer(&self, peer: PeerId) -> Vec<Participant> {
        self.streams
            .range(peer.all())
            .map(|(who, _)| *who)
            .collect()
    }

    /// The name of a player whom a world's peer forwards.
    pub fn name(&mut self, source: Source, name: String) {
        let Some(peer) = self.peers.get_mut(&source.peer) else {
            self.counts.dropped += 1;
            return;
        };
        if source.sender == 0 {
            peer.member.name = short(name);
        } else if peer.names.len() < MAX_SENDERS || peer.names.contains_key(&source.sender) {
            peer.names.insert(source.sender, short(name));
        } else {
            self.counts.dropped += 1;
        }
    }

    /// Somebody is in the call; again when his name changes.
    pub fn discord_joined(&mut self, _now: Instant, user: u64, mut who: DiscordMember) {
        who.name = short(who.name);
        let heard = self.heard(&who);
        let before = self
            .speakers
            .get_mut(&user)
            .map(|speaker| std::mem::replace(&mut speaker.member, who.clone()));
        if before.is_none() {
            if self.speakers.len() >= MAX_SPEAKERS {
                self.counts.dropped += 1;
                return;
            }
            let slot = self.free_slot();
            self.speakers.insert(user, Speaker::new(slot, who.clone()));
        }
        let was_heard = before.as_ref().is_some_and(|before| self.heard(before));
        if was_heard && !heard {
            self.gone(user);
        } else if heard && (!was_heard || before.is_some_and(|before| before.name != who.name)) {
            self.there(user);
        }
    }

    /// He is not any more.
    pub fn discord_left(&mut self, _now: Instant, user: u64) {
        if self
            .speakers
            .get(&user)
            .is_some_and(|speaker| self.heard(&speaker.member))
        {
            self.gone(user);
        }
        self.speakers.remove(&user);
    }

    fn free_slot(&self) -> u32 {
        let taken: std::collections::BTreeSet<u32> =
            self.speakers.values().map(|speaker| speaker.slot).collect();
        (0..).find(|slot| !taken.contains(slot)).unwrap_or(0)
    }

    /// Tells that somebody can be heard.
    fn there(&mut self, user: u64) {
        if let Some(speaker) = self.speakers.get(&user) {
            let event = Event::Speaker {
                id: speaker.id(),
                user,
                name: speaker.member.name.clone(),
            };
            self.put(Output::Event(event));
        }
    }

    /// Tells that somebody cannot be heard any more.
    fn gone(&mut self, user: u64) {
        self.silence(Participant::Discord(user));
        if let Some(speaker) = self.speakers.get(&user) {
            let event = Event::SpeakerGone { id: speaker.id() };
            self.put(Output::Event(event));
        }
    }

    /// What is asked of a participant. A peer must have joined; one of Discord's need not. What is asked of a peer itself (`sender` 0)
    /// holds for the players whom it forwards too, unless something is asked of them.
    pub fn set(&mut self, participant: Participant, setting: Setting) {
        let gain = if setting.gain.is_finite() {
            setting.gain.clamp(0.0, MAX_GAIN)
        } else {
            1.0
        };
        let setting = Setting { gain, ..setting };
        let known = match participant {
            Participant::World(source) => self.peers.contains_key(&source.peer),
            Participant::Discord(_) => true,
        };
        if setting == Setting::default() {
            self.settings.remove(&participant);
        } else if known
            && (self.settings.len() < MAX_SETTINGS || self.settings.contains_key(&participant))
        {
            self.settings.insert(participant, setting);
        } else {
            self.counts.dropped += 1;
            return;
        }
        let concerned = match participant {
            Participant::World(Source { peer, sender: 0 }) => self.of_peer(peer),
            _ => vec![participant],
        };
        for who in concerned {
            let setting = self.setting(who);
            if let Some(stream) = self.streams.get_mut(&who) {
                stream.setting = setting;
            }
        }
    }

    /// What is asked of somebody.
    pub(super) fn setting(&self, who: Participant) -> Setting {
        let own = self.settings.get(&who);
        let peers = || match who {
            Participant::World(source) => {
                let peer = Source {
                    sender: 0,
                    ..source
                };
                self.settings.get(&Participant::World(peer))
            }
            Participant::Discord(_) => None,
        };
        own.or_else(peers).copied().unwrap_or_default()
    }

    /// Whether he speaks, as the last [`Event::Speaking`] of him has it.
    #[must_use]
    pub fn speaks(&self, who: Participant) -> bool {
        self.talking.contains(&who)
    }

    /// Whether anybody in the call hears the world, which is taken for granted. Else nothing is made for the call.
    pub fn call_hears(&mut self, hears: bool) {
        self.call_hears = hears;
        if !hears {
            self.to_discord = Sink::new(DISCORD);
        }
    }

    /// How the room is from now on.
    pub fn options(&mut self, options: Options) {
        let before = std::mem::replace(&mut self.options, options);
        if before.listen_to_bots == options.listen_to_bots {
            return;
        }
        let bots = |(user, speaker): (&u64, &Speaker)| speaker.member.bot.then_some(*user);
        let bots: Vec<u64> = self.speakers.iter().filter_map(bots).collect();
        for user in bots {
            if options.listen_to_bots {
                self.there(user);
            } else {
                self.gone(user);
            }
        }
    }
}

/// A name, cut where it is too long.
fn short(mut name: String) -> String {
    if name.len() > MAX_NAME {
        name.truncate(name.floor_char_boundary(MAX_NAME));
        name.shrink_to_fit();
    }
    name
}
