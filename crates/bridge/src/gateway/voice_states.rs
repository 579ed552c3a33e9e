//! What Discord is told of where the bot is in voice, and which of the voice states that it sends are the answers to that.
//!
//! A machine without sockets and clock: time is an argument. For each guild it knows what is desired, what Discord was told in this gateway
//! session, and where that has the bot. A command leaves it only when [`VoiceStates::next`] is called, which the budget allows; until then
//! another desire takes its place.

use crate::voice::DesiredVoiceState;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tokio::time::Instant;
use uro_discord_wire::Snowflake;

/// So shortly before a connection was lost a command may have been lost with it.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// Discord answers within this, or not at all.
const ANSWERED: Duration = Duration::from_secs(10);

/// Update Voice State (op 4) for a guild; without a channel the bot leaves.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UpdateVoiceState {
    pub guild: Snowflake,
    pub channel: Option<Snowflake>,
    pub self_mute: bool,
    pub self_deaf: bool,
    /// Which beginning it begins. Discord's answers are to come within some seconds from now.
    pub begins: Option<u64>,
}

/// What a voice state of Discord's about the bot means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heard {
    /// The bot is in a channel: it was told to be, or somebody moved it.
    In,
    /// Somebody took the bot out of its channel.
    Out,
    /// It is not about what is wanted now: the answer to a leave of ours, or to what was told before.
    Past,
}

/// Where Discord has the bot in a guild.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Place {
    /// In no channel.
    Nowhere,
    /// In one, as far as Discord had no reason to refuse.
    Somewhere,
    /// It is not known: another process, or a command that may have been lost, had it last.
    Unknown,
}

/// A guild that is, or was, of interest.
#[derive(Debug)]
struct Guild {
    desired: Option<DesiredVoiceState>,
    /// What was told last.
    told: Option<DesiredVoiceState>,
    /// It is not known by this process, but by the call, which its voice server has let in.
    by_call: bool,
    place: Place,
    /// The channels that Discord was told of and has not answered yet, oldest first, with their time. It does not answer what it refuses.
    joins: VecDeque<(Snowflake, Instant)>,
    /// The same of leaves, which it does not answer where the bot was in no channel. They are apart from joins: that the bot is muted, say,
    /// is told in the same words as that it has joined, and may overtake the answer to the leave.
    leaves: VecDeque<Instant>,
    /// Whether it is in the queue.
    queued: bool,
}

/// How many unanswered commands of either kind are remembered for each guild: this beginning's, and those of some before.
const UNANSWERED: usize = 4;

/// The voice states of a shard's guilds.
#[derive(Debug)]
pub struct VoiceStates {
    guilds: BTreeMap<Snowflake, Guild>,
    /// Guilds that Discord may have to be told something of, in the order of their turn.
    queue: VecDeque<Snowflake>,
    /// Where the bot is in a guild of which nothing is known.
    elsewhere: Place,
    /// The bot's own user, as it was stated last.
    user: Option<Snowflake>,
}

impl VoiceStates {
    /// For a gateway session that another process may have begun.
    pub fn new() -> Self {
        Self {
            guilds: BTreeMap::new(),
            queue: VecDeque::new(),
            elsewhere: Place::Unknown,
            user: None,
        }
    }

    /// States where the bot is to be in a guild; `None`: in no channel.
    pub fn desire(&mut self, guild: Snowflake, desired: Option<DesiredVoiceState>) {
        self.user = desired.map(|state| state.user).or(self.user);
        let joined = desired.is_some_and(|state| state.joined);
        // It is no part of what Discord is told.
        let desired = desired.map(|state| DesiredVoiceState {
            joined: false,
            ..state
        });
        let elsewhere = self.elsewhere;
        match (self.guilds.get_mut(&guild), desired) {
            (Some(known), desired) => known.desired = desired,
            // It is nowhere already.
            (None, None) if elsewhere == Place::Nowhere => return,
            (None, desired) => {
                let by_call = joined && elsewhere == Place::Unknown;
                let new = Guild {
                    desired,
                    told: desired.filter(|_| by_call),
                    by_call,
                    place: if by_call { Place::Somewhere } else { elsewhere },
                    joins: VecDeque::new(),
                    leaves: VecDeque::new(),
                    queued: false,
                };
                self.guilds.insert(guild, new);
            }
        }
        self.enqueue(guild);
    }

    /// Whether there may be something to tell Discord.
    pub fn is_due(&self) -> bool {
        !self.queue.is_empty()
    }

    /// What Discord is to be told next; it counts as sent.
    pub fn next(&mut self, now: Instant) -> Option<UpdateVoiceState> {
        while let Some(id) = self.queue.pop_front() {
            let Some(guild) = self.guilds.get_mut(&id) else {
                continue;
            };
            guild.queued = false;
            let Some(command) = guild.command(id) else {
                if guild.is_over() {
                    self.guilds.remove(&id);
                }
                continue;
            };
            guild.sent(command, now);
            // A join follows its leave at once: nobody is to miss the bot for longer than that takes.
            if guild.command(id).is_some() {
                guild.queued = true;
                self.queue.push_front(id);
            }
            return Some(command);
        }
        None
    }

    /// Discord says where the bot is in a guild. Answers what that means.
    pub fn heard(&mut self, id: Snowflake, channel: Option<Snowflake>, now: Instant) -> Heard {
        let Some(guild) = self.guilds.get_mut(&id) else {
            return Heard::Past;
        };
        guild.expire(now);
        let heard = match channel {
            Some(channel) => guild.heard_in(channel),
            None => guild.heard_out(),
        };
        if guild.command(id).is_some() {
            self.enqueue(id);
            return heard;
        }
        if guild.is_over() && guild.command(id).is_none() {
            self.guilds.remove(&id);
        }
        heard
    }

    /// Which user the bot is in a guild, if that is of interest.
    pub fn user(&self, guild: Snowflake) -> Option<Snowflake> {
        self.guilds.get(&guild).and(self.user)
    }

    /// Discord has begun a new gateway session, in which the bot is in no channel.
    pub fn renewed(&mut self) {
        self.elsewhere = Place::Nowhere;
        self.guilds.retain(|_, guild| guild.desired.is_some());
        self.queue.retain(|id| self.guilds.contains_key(id));
        for guild in self.guilds.values_mut() {
            guild.told = None;
            guild.by_call = false;
            guild.place = Place::Nowhere;
            guild.joins.clear();
            guild.leaves.clear();
        }
        self.enqueue_all();
    }

    /// The connection that was lost at this time is resumed, and Discord has told what was missed. What it has not answered may have been
    /// lost on its way there, and is told anew.
    pub fn resumed(&mut self, lost_at: Instant) {
        for guild in self.guilds.values_mut() {
            let joins = guild.joins.iter().map(|(_, sent)| sent);
            let mut sent = joins.chain(&guild.leaves);
            if sent.any(|sent| *sent + IN_FLIGHT > lost_at) {
                guild.told = None;
                guild.place = Place::Unknown;
            }
            guild.joins.clear();
            guild.leaves.clear();
        }
        self.enqueue_all();
    }

    /// The session was let go of: another process may change everything.
    pub fn forget(&mut self) {
        self.elsewhere = Place::Unknown;
        for guild in self.guilds.values_mut() {
            guild.told = None;
            guild.by_call = false;
            guild.place = Place::Unknown;
            guild.joins.clear();
            guild.leaves.clear();
        }
        self.enqueue_all();
    }

    fn enqueue_all(&mut self) {
        let all: Vec<Snowflake> = self.guilds.keys().copied().collect();
        for guild in all {
            self.enqueue(guild);
        }
    }

    /// Leaves go before joins: a channel that nobody wants is left before others are filled, which may take minutes.
    fn enqueue(&mut self, id: Snowflake) {
        if let Some(guild) = self.guilds.get_mut(&id)
            && !guild.queued
        {
            guild.queued = true;
            if guild.desired.is_some() {
                self.queue.push_back(id);
            } else {
                self.queue.push_front(id);
            }
        }
    }
}

impl Guild {
    /// What Discord is to be told, if anything.
    fn command(&self, guild: Snowflake) -> Option<UpdateVoiceState> {
        let leave = UpdateVoiceState {
            guild,
            channel: None,
            self_mute: false,
            self_deaf: false,
            begins: None,
        };
        let Some(desired) = self.desired else {
            return (self.place != Place::Nowhere).then_some(leave);
        };
        let join = UpdateVoiceState {
            guild,
            channel: Some(desired.channel),
            self_mute: desired.self_mute,
            self_deaf: desired.self_deaf,
            begins: None,
        };
        match self.told {
            Some(told) if told == desired => None,
            Some(told) if told.beginning == desired.beginning => Some(join),
            // Discord names the voice server anew only to who comes anew.
            _ if self.place != Place::Nowhere => Some(leave),
            _ => Some(UpdateVoiceState {
                begins: Some(desired.beginning),
                ..join
            }),
        }
    }

    fn sent(&mut self, command: UpdateVoiceState, now: Instant) {
        self.by_call = false;
        if let Some(channel) = command.channel {
            if self.joins.len() == UNANSWERED {
                self.joins.pop_front();
            }
            self.joins.push_back((channel, now));
            self.told = self.desired;
            self.place = Place::Somewhere;
        } else {
            if self.leaves.len() == UNANSWERED {
                self.leaves.pop_front();
            }
            self.leaves.push_back(now);
            self.told = None;
            self.place = Place::Nowhere;
        }
    }

    /// Forgets what Discord will not answer any more.
    fn expire(&mut self, now: Instant) {
        let is_over = |sent: &Instant| *sent + ANSWERED <= now;
        self.joins.retain(|(_, sent)| !is_over(sent));
        self.leaves.retain(|sent| !is_over(sent));
    }

    /// Discord has the bot in a channel.
    fn heard_in(&mut self, channel: Snowflake) -> Heard {
        let answers = self.joins.iter().position(|(told, _)| *told == channel);
        if let Some(place) = answers {
            self.joins.drain(..=place);
        }
        // What was told since has yet to be answered.
        if !self.joins.is_empty() {
            return Heard::Past;
        }
        if answers.is_none() && self.leaves.is_empty() {
            self.place = Place::Somewhere;
        }
        // Before anything was asked it is about the life of another process, which a resume tells again.
        if self.told.is_some() {
            Heard::In
        } else {
            Heard::Past
        }
    }

    /// Discord has the bot in no channel. Whoever takes it out within seconds of a leave that Discord had no reason to answer is not
    /// told from that; the voice session ends all the same, and with it the call.
    fn heard_out(&mut self) -> Heard {
        // A resume may tell it of an earlier beginning, so the bot comes again in any case.
        if std::mem::take(&mut self.by_call) {
            self.told = None;
            self.place = Place::Nowhere;
            return Heard::Past;
        }
        let ours = self.leaves.pop_front().is_some();
        if ours || !self.joins.is_empty() || self.place == Place::Nowhere {
            return Heard::Past;
        }
        self.place = Place::Nowhere;
        if self.told.is_some() {
            Heard::Out
        } else {
            Heard::Past
        }
    }

    /// Whether nothing is wanted of it, or expected.
    fn is_over(&self) -> bool {
        self.desired.is_none() && self.joins.is_empty() && self.leaves.is_empty()
    }
}
